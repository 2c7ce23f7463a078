"""Becomes Patroni, with a fault of 3.0.2 mended, which is Debian 12's: a primary that was cut off and comes back took
the lead from the one that had it by then, and that one gave up (patroni#2689 and #2693, mended there in 3.0.3).

Arguments:   Patroni's: its settings
"""

import time

from patroni.__main__ import main
from patroni.dcs import Leader, catch_return_false_exception
from patroni.dcs.etcd3 import Etcd3, Etcd3Error, base64_encode
from patroni.version import __version__


@catch_return_false_exception
def update_leader(etcd):
    """Renews the lease, and puts it on the leader's key where that is still this member's, or nobody's."""
    retry = etcd._retry.copy()

    def retried(*arguments):
        return retry(*arguments, retry=retry)

    etcd._run_and_handle_exceptions(etcd._do_refresh_lease, True, retry=retried)
    leader = etcd.cluster and etcd.cluster.leader
    if isinstance(leader, Leader) and leader.session == etcd._lease:
        return True
    retry.deadline = retry.stoptime - time.time()
    if retry.deadline < 1:
        raise Etcd3Error("update_leader timeout")
    return bool(etcd._run_and_handle_exceptions(put_leader, etcd, retry=retried))


def put_leader(etcd, retry=None):
    fields = {"key": base64_encode(etcd.leader_path), "value": base64_encode(etcd._name), "lease": etcd._lease}
    is_mine = {"key": fields["key"], "target": "VALUE", "value": fields["value"]}
    is_nobodys = {"key": fields["key"], "target": "CREATE", "create_revision": 0}
    return any(etcd._client.txn(compare, {"request_put": fields}, retry) for compare in [is_mine, is_nobodys])


if __name__ == "__main__":
    if __version__ == "3.0.2":
        Etcd3._update_leader = update_leader
    main()
