//! The members of the database, where there are three: whether any one machine may die. Only looks.

use crate::checks::finding::Finding;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::patroni::{Cluster, MEMBERS, Member};

const CHECK: &str = "database";

pub fn check(swarm: &Swarm) -> Vec<Finding> {
    match swarm.cluster() {
        Ok(cluster) => judge(&cluster),
        Err(error) => vec![Finding::error(CHECK, Problem::of(&error))],
    }
}

fn judge(cluster: &Cluster) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(judge_etcd(cluster));
    findings.extend(judge_leader(cluster));
    let ill = cluster.members.iter().filter(|member| !member.is_well());
    findings.extend(ill.map(|member| judge_member(cluster, member)));
    if findings.is_empty() && cluster.candidates().is_empty() {
        let problem = Problem::new("no standby has everything that the primary acknowledges yet");
        let hint = "wait for ten seconds; `cargo xtask production status` shows the members";
        findings.push(Finding::warning(CHECK, problem.hint(hint)));
    }
    if let (true, Some(leader)) = (findings.is_empty(), cluster.leader()) {
        let what = format!("{} leads, and every other member streams", leader.name);
        findings.push(Finding::good(CHECK, what));
    }
    findings
}

fn judge_etcd(cluster: &Cluster) -> Option<Finding> {
    let ill = cluster.etcd.iter().filter(|etcd| !etcd.healthy);
    let ill: Vec<&str> = ill.map(|etcd| etcd.name.as_str()).collect();
    if ill.is_empty() {
        return None;
    }
    let names = ill.join(" and ");
    let what = if cluster.has_quorum() {
        format!("{names} is not healthy: no other etcd may fail")
    } else {
        format!("etcd has no quorum, so there can be no primary: {names} are not healthy")
    };
    let hint = format!(
        "bring its machine back; `cargo xtask production logs {}` shows what it printed",
        ill[0]
    );
    Some(Finding::error("etcd", Problem::new(what).hint(hint)))
}

fn judge_leader(cluster: &Cluster) -> Option<Finding> {
    let primaries = cluster.primaries();
    let what = match primaries.as_slice() {
        [_] => return None,
        [] => "the database has no primary: nothing can be written".to_owned(),
        many => {
            let names: Vec<&str> = many.iter().map(|member| member.name.as_str()).collect();
            format!("{} each say that they are the primary", names.join(" and "))
        }
    };
    let hint =
        "wait for half a minute, then look at deploy/production/README.md, 'Two of three are dead'";
    Some(Finding::error(CHECK, Problem::new(what).hint(hint)))
}

fn judge_member(cluster: &Cluster, member: &Member) -> Finding {
    let name = &member.name;
    let well = cluster.members.iter().filter(|it| it.is_well()).count();
    let what = match member.state.as_str() {
        "running" => format!("{name} does not stream from the primary"),
        state => format!("{name}: {state}"),
    };
    let what = format!(
        "{what}; {well} of {MEMBERS} members are well, so the next failure may stop all writing"
    );
    let hint = format!("`cargo xtask production logs {name}` shows what it printed");
    Finding::error(CHECK, Problem::new(what).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::Level;

    const WELL: &str = r#"{"members":{"postgres-1":{"state":"running","role":"master","xlog":{"location":9},"replication":[{"application_name":"postgres-2","state":"streaming"},{"application_name":"postgres-3","state":"streaming"}]},"postgres-2":{"state":"running","role":"replica","sync_standby":true},"postgres-3":{"state":"running","role":"replica"}},"etcd":{"etcd-1":true,"etcd-2":true,"etcd-3":true}}"#;

    fn found(json: &str) -> Vec<(Level, String)> {
        let findings = judge(&Cluster::parse(json).unwrap()).into_iter();
        findings.map(|it| (it.level, it.problem.what)).collect()
    }

    #[test]
    fn what_is_well_is_good_and_what_is_not_is_an_error_by_its_name() {
        assert_eq!(found(WELL)[0].0, Level::Good);
        #[track_caller]
        fn check(from: &str, to: &str, says: &str) {
            assert!(WELL.contains(from), "{from}");
            let found = found(&WELL.replace(from, to));
            let is_said =
                |(level, what): &(Level, String)| *level == Level::Error && what.contains(says);
            assert!(found.iter().any(is_said), "{found:?}");
        }
        check(
            r#""role":"master""#,
            r#""role":"replica""#,
            "has no primary",
        );
        check(
            r#""application_name":"postgres-3""#,
            r#""application_name":"other""#,
            "postgres-3 does not stream from the primary; 2 of 3",
        );
        check(
            r#""postgres-2":{"state":"running","role":"replica","sync_standby":true}"#,
            r#""postgres-2":null"#,
            "postgres-2: does not answer",
        );
        check(
            r#""etcd-3":true"#,
            r#""etcd-3":false"#,
            "etcd-3 is not healthy",
        );
        check(
            r#""etcd-2":true,"etcd-3":true"#,
            r#""etcd-2":false,"etcd-3":false"#,
            "etcd has no quorum",
        );
    }
}
