//! What would stop a deployment before it begins, seen from the machines themselves: their disks, ports, clocks and
//! network cards, the images, the public names and the bucket. Makes nothing of the stack.

use std::net::IpAddr;
use std::time::Duration;

use super::edge;
use crate::checks::finding::Finding;
use crate::docker::engine::Thing;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::files::Plan;
use crate::swarm::look::Machine;
use crate::swarm::machines::Look;
use crate::swarm::nodes::{EDGE, Node};
use crate::swarm::settings::Edge;
use crate::terminal::text::render_bytes;

/// What a full disk stops: PostgreSQL, and each new container.
const FULL: u64 = 1 << 30;
/// Images take 1.9 GB, PostgreSQL's log up to 1 GB.
const ALMOST_FULL: u64 = 3 << 30;

/// Managers and certificates bear no more.
const CLOCK_TOLERANCE: u64 = 10;

/// The check of the bucket, which a deployment over a running one can do without for a while.
pub const BUCKET: &str = "bucket";

/// What is looked at.
pub struct Preflight<'a> {
    pub swarm: &'a Swarm,
    /// With images that the engine has, at least PostgreSQL's.
    pub plan: &'a Plan,
    pub nodes: &'a [Node],
    /// The id of the node whose engine is asked.
    pub here: &'a str,
    /// How long a node may take, which pulls the images that it lacks.
    pub patience: Duration,
}

impl Preflight<'_> {
    /// Looks at all of it. A node that is asked pulls the images that it is to run.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn check(&self) -> anyhow::Result<Vec<Finding>> {
        let image = self
            .plan
            .stack
            .service(self.plan.stack.database())
            .map(|it| &it["image"]);
        let image = image.and_then(|it| it.as_str()).unwrap_or_default();
        let mut findings = self.check_reach(image)?;
        findings.extend(self.check_here(image)?);
        if self.nodes.len() > 1 {
            findings.extend(self.check_others()?);
        }
        Ok(findings)
    }

    fn check_reach(&self, image: &str) -> anyhow::Result<Vec<Finding>> {
        let values = self.swarm.docker.values();
        let edge = Edge::of(values);
        let reached = self
            .swarm
            .reach(self.plan, image, &[&edge.umami, &edge.glitchtip])?;
        let mut findings = edge::check_names(values, self.nodes, &reached.names);
        let bucket = values.text("BACKUP_S3_BUCKET");
        let endpoint = values.text("BACKUP_S3_ENDPOINT");
        findings.push(match reached.bucket {
            Ok(()) => Finding::good(BUCKET, format!("{bucket} at {endpoint} takes files and gives them back")),
            Err(said) => {
                let what = format!("the bucket {bucket} at {endpoint} cannot be used");
                let hint = "check the lines BACKUP_S3_… in deploy/production/.env: endpoint, bucket, region and keys; where its \
                            authority is no public one, TRUSTED_CA_FILE";
                Finding::error(BUCKET, Problem::new(format!("{what}: {}", render_refusal(&said))).hint(hint))
            }
        });
        Ok(findings)
    }

    fn check_here(&self, image: &str) -> anyhow::Result<Vec<Finding>> {
        let machine = self.swarm.look_here(image)?;
        let node = self.nodes.iter().find(|node| node.id == self.here);
        match node {
            Some(node) => self.judge(node, &machine),
            None => Ok(Vec::new()),
        }
    }

    fn check_others(&self) -> anyhow::Result<Vec<Finding>> {
        let looks = self
            .swarm
            .look_elsewhere(&self.plan.stack, self.here, self.patience)?;
        let mut findings = Vec::new();
        for node in self.nodes.iter().filter(|node| node.id != self.here) {
            let own: Vec<&Look> = looks.iter().filter(|look| look.node == node.id).collect();
            let name = node.hostname();
            findings.extend(own.iter().filter_map(|look| judge_image(name, look)));
            findings.extend(own.iter().find_map(|look| judge_clock(name, look.apart)));
            if let Some(machine) = own.iter().find_map(|look| look.seen.as_ref().ok()) {
                findings.extend(self.judge(node, machine)?);
            }
        }
        Ok(findings)
    }

    fn judge(&self, node: &Node, machine: &Machine) -> anyhow::Result<Vec<Finding>> {
        let name = node.hostname();
        let mut findings = vec![judge_disk(name, machine.free)];
        if self.nodes.len() > 1 {
            let wanted = self.swarm.docker.values().text("NETWORK_MTU");
            let address = node.address().parse().ok();
            findings.extend(judge_network(
                name,
                machine,
                address,
                wanted.parse().unwrap_or(1500),
            ));
        }
        let has_edge = node.has_label(EDGE) || self.nodes.len() == 1;
        if has_edge && !self.swarm.runs_on("edge", &node.id)? {
            findings.extend(self.judge_ports(node, machine)?);
        }
        Ok(findings)
    }

    /// The ports of an edge that does not run yet.
    fn judge_ports(&self, node: &Node, machine: &Machine) -> anyhow::Result<Vec<Finding>> {
        let values = self.swarm.docker.values();
        let ports = ["HTTP_PORT", "HTTPS_PORT"].map(|key| (key, values.text(key)));
        let engine = self.swarm.docker.everything()?;
        let holder = |port: u16| {
            let holder = engine.containers.iter().find(|it| it.ports.contains(&port));
            holder.filter(|_| node.id == self.here)
        };
        let taken = ports.iter().filter_map(|(key, port)| {
            let port: u16 = port.parse().ok()?;
            let is_taken = machine.listens.contains(&port) || holder(port).is_some();
            is_taken.then(|| judge_port(node.hostname(), (key, port), holder(port)))
        });
        Ok(taken.collect())
    }
}

/// What pgBackRest gave up with, and what the bucket's server has answered (2.45, 2026-11-30).
fn render_refusal(said: &str) -> String {
    let error = said.rsplit("ERROR: ").next().unwrap_or_default().trim();
    let first = error.lines().next().unwrap_or_default();
    let first = first.trim_end_matches(':');
    let answer = error.split_once("<Message>");
    match answer.and_then(|(_, rest)| rest.split_once("</Message>")) {
        Some((answer, _)) => format!("{first}: {answer}"),
        None => first.to_owned(),
    }
}

fn judge_disk(node: &str, free: u64) -> Finding {
    let what = format!("{} are free on {node}", render_bytes(free));
    let hint = "make room on that machine, as root: `docker system df` shows what images and volumes take, `docker image \
                prune --all` removes the images that no container uses";
    match free {
        ..FULL => Finding::error(
            "disk",
            Problem::new(format!("the disk is full: {what}")).hint(hint),
        ),
        FULL..ALMOST_FULL => {
            Finding::warning("disk", Problem::new(format!("only {what}")).hint(hint))
        }
        _ => Finding::good("disk", what),
    }
}

fn judge_port(node: &str, (key, port): (&str, u16), container: Option<&Thing>) -> Finding {
    let (who, hint) = match container {
        Some(container) => (
            format!("the container {}", container.name),
            container.way_to_end(),
        ),
        None => (
            "another process".to_owned(),
            format!(
                "`sudo ss --listening --tcp --processes 'sport = :{port}'` on {node} shows which"
            ),
        ),
    };
    let problem = Problem::new(format!(
        "port {port} of {node}, which is for the edge, is taken by {who}"
    ));
    let hint = format!("{hint}; or give the edge another one: {key} in deploy/production/.env");
    Finding::error("ports", problem.hint(hint))
}

/// What is larger than the network takes is lost: small requests pass, and large ones hang.
fn judge_network(
    node: &str,
    machine: &Machine,
    address: Option<IpAddr>,
    wanted: u32,
) -> Option<Finding> {
    let (card, mtu) = machine.card_to(address?)?;
    if mtu >= wanted {
        return None;
    }
    let problem = Problem::new(format!(
        "packets of {mtu} bytes leave {node} by {card}, and the network of the stack is made for {wanted}: large requests \
         would hang"
    ));
    let hint = format!(
        "set NETWORK_MTU={mtu} in deploy/production/.env; a network that is there already keeps its own until \
         `cargo xtask production remove` and `cargo xtask production deploy`"
    );
    Some(Finding::error("network", problem.hint(hint)))
}

fn judge_clock(node: &str, apart: u64) -> Option<Finding> {
    if apart <= CLOCK_TOLERANCE {
        return None;
    }
    let problem = Problem::new(format!(
        "the clock of {node} differs from that of the managers by {apart} s"
    ));
    let hint = "let it take its time from the network: `sudo timedatectl set-ntp true`";
    Some(Finding::error("clock", problem.hint(hint)))
}

fn judge_image(node: &str, look: &Look) -> Option<Finding> {
    let reason = look.seen.as_ref().err()?;
    let image = &look.image;
    let problem = Problem::new(format!("{node} cannot run {image}: {reason}"));
    let hint =
        "push it to a registry that every node reaches, and name it in deploy/production/.env";
    Some(Finding::error("images", problem.hint(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::Level;
    use crate::docker::engine::parse_things;

    #[test]
    fn a_disk_is_full_almost_full_or_well() {
        assert_eq!(judge_disk("n1", 5 << 20).level, Level::Error);
        assert_eq!(judge_disk("n1", 2 << 30).level, Level::Warning);
        assert_eq!(judge_disk("n1", 9 << 30).level, Level::Good);
    }

    #[test]
    fn a_network_card_that_takes_less_than_the_network_is_named_with_what_it_takes() {
        let text = "free 1\nroute wg0 0000080A 0000FFFF\nmtu wg0 1420\nseen\n";
        let machine = Machine::parse(text).unwrap();
        let address = "10.8.0.2".parse().ok();
        let found = judge_network("n2", &machine, address, 1500).unwrap();
        assert!(
            found
                .problem
                .what
                .contains("packets of 1420 bytes leave n2 by wg0")
        );
        assert!(found.problem.hint.unwrap().contains("NETWORK_MTU=1420"));
        assert_eq!(judge_network("n2", &machine, address, 1420), None);
        assert_eq!(
            judge_network("n2", &machine, "192.0.2.1".parse().ok(), 1500),
            None
        );
    }

    #[test]
    fn a_port_is_named_with_who_has_it_and_an_image_with_why_it_is_not_there() {
        let port = |who: Option<&Thing>| judge_port("n1", ("HTTP_PORT", 80), who).problem;
        let things = parse_things("nginx\nweb_proxy.1.x\t\t\t\trunning\tweb_proxy\n");
        let nginx = port(Some(&things[0]));
        assert!(nginx.what.ends_with("is taken by the container nginx"));
        assert!(nginx.hint.unwrap().contains("`docker stop nginx`"));
        let task = port(Some(&things[1])).hint.unwrap();
        assert!(task.contains("`docker service rm web_proxy`"), "{task}");
        assert!(port(None).hint.unwrap().contains("'sport = :80'` on n1"));
        let look = |seen| Look {
            node: "i".to_owned(),
            image: "u:3".to_owned(),
            seen,
            apart: 11,
        };
        let missing = look(Err("No such image: u:3".to_owned()));
        let found = judge_image("n2", &missing).unwrap().problem;
        assert_eq!(found.what, "n2 cannot run u:3: No such image: u:3");
        assert!(judge_image("n2", &look(Ok(Machine::default()))).is_none());
        assert!(judge_clock("n2", missing.apart).is_some());
        assert!(judge_clock("n2", 2).is_none());
    }

    #[test]
    fn a_refusal_has_the_words_of_pgbackrest_and_of_the_bucket_s_server() {
        let said = "a container ended with exit status: 39: ERROR: [039]: HTTP request failed with 404 (Not Found):\n       \
                    *** Path/Query ***:\n       PUT /x\n<Error><Code>NoSuchBucket</Code><Message>No bucket</Message></Error>";
        assert_eq!(
            render_refusal(said),
            "[039]: HTTP request failed with 404 (Not Found): No bucket"
        );
        assert_eq!(render_refusal("no such image\n"), "no such image");
    }
}
