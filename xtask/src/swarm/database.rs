//! Asking the database that is on three nodes, from whatever engine is asked: by a container there that can reach
//! the members.

use anyhow::{Context, bail};

use super::Swarm;
use super::patroni::{Cluster, Member};
use crate::docker::invocation::stderr_of;
use crate::problem::Problem;

/// On every node, and in the network of the members.
pub const PROXY: &str = "haproxy";

/// The services that have the password for a change, one of them on each of the three nodes.
pub const MEMBER_SERVICES: [&str; 3] = ["postgres-1", "postgres-2", "postgres-3"];

impl Swarm {
    /// Whether the stack that runs has its databases on three nodes. Members that were stopped, on the way to one
    /// node, are none.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn has_members(&self) -> anyhow::Result<bool> {
        let services = self.services()?;
        let mut members = MEMBER_SERVICES
            .iter()
            .filter_map(|name| services.get(*name));
        Ok(members.any(|service| service.replicas() != Some(0)))
    }

    /// How the members and etcd stand.
    ///
    /// # Errors
    /// When nothing on the engine that is asked can reach them.
    pub fn cluster(&self) -> anyhow::Result<Cluster> {
        let container = self.container_beside(&[&[PROXY], &MEMBER_SERVICES[..]].concat())?;
        let exec = ["exec", &container, "cluster.sh"];
        let printed = self.docker.docker().args(exec).text();
        Cluster::parse(&printed.context("asking the members of the database")?)
    }

    /// The member that is the primary.
    ///
    /// # Errors
    /// When there is none, or nobody can say.
    pub fn leader(&self) -> anyhow::Result<Member> {
        let cluster = self.cluster()?;
        cluster.leader().cloned().with_context(|| {
            Problem::new("the database has no primary at present")
                .hint("`cargo xtask production status` shows its members; wait for half a minute")
        })
    }

    /// Asks Patroni for a change: `switchover FROM TO`, `failover TO` or `reinitialize MEMBER`. Returns its answer.
    /// What it started may not be done yet.
    ///
    /// # Errors
    /// When Patroni refuses it, with its reason; or when the engine that is asked has no member.
    pub fn change_cluster(&self, change: &[&str]) -> anyhow::Result<String> {
        let container = self.container_beside(&MEMBER_SERVICES)?;
        let exec = ["exec", &container, "cluster.sh"];
        let answer = self.docker.docker().args(exec).args(change).text();
        match answer {
            Ok(answer) => Ok(answer.trim().to_owned()),
            Err(error) => bail!(
                Problem::new(format!("Patroni refuses to {}", change.join(" ")))
                    .evidence(stderr_of(&error))
                    .hint("`cargo xtask production status` shows how the members stand")
            ),
        }
    }

    /// Removes what etcd knows of the members, none of which runs: the next one that was in use alone begins anew.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub fn forget_members(&self) -> anyhow::Result<()> {
        let container = self.container_beside(&[PROXY])?;
        let exec = ["exec", &container, "cluster.sh", "forget"];
        self.docker.docker().args(exec).text().map(drop)
    }

    /// Whether a write by the address that the applications use is taken now.
    ///
    /// # Errors
    /// When the engine that is asked has no member.
    pub fn takes_writes(&self) -> anyhow::Result<bool> {
        let container = self.container_beside(&MEMBER_SERVICES)?;
        let exec = ["exec", &container, "write.sh"];
        self.docker.docker().args(exec).succeeds()
    }

    /// The constraint of the node that the primary is on.
    ///
    /// # Errors
    /// When there is no primary.
    pub fn place_of_primary(&self) -> anyhow::Result<String> {
        Ok(place_of(self.leader()?.number()))
    }

    /// The first container of these services that the engine that is asked has.
    fn container_beside(&self, services: &[&str]) -> anyhow::Result<String> {
        for service in services {
            if let Ok(id) = self.container_of(service) {
                return Ok(id);
            }
        }
        let names = services.join(", ");
        bail!(
            Problem::new(format!("the engine that is asked runs none of {names}")).hint(
                "set TARGET in deploy/production/.env to a node with a member of the database"
            )
        )
    }
}

/// The constraint of the node with this member.
pub fn place_of(number: &str) -> String {
    format!("node.labels.{} == {number}", super::nodes::MEMBER)
}
