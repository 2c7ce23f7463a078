//! The public names: known to DNS, leading to an edge, and served by it. Only looks.

use std::net::IpAddr;
use std::time::Duration;

use crate::checks::finding::Finding;
use crate::env::values::Values;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::edge::EdgeWay;
use crate::swarm::nodes::{EDGE, Node};
use crate::swarm::settings::{Edge, Tls};
use crate::swarm::stackfile::StackFile;
use crate::system::resolver;

const PATIENCE: Duration = Duration::from_secs(5);

/// Where the names lead, as this machine sees it.
pub fn check_names(values: &Values, nodes: &[Node]) -> Vec<Finding> {
    let edge = Edge::of(values);
    let names: Vec<String> = [&edge.umami, &edge.glitchtip].map(Clone::clone).to_vec();
    let answers = resolver::resolve(names.clone().into_iter(), PATIENCE);
    let edges: Vec<IpAddr> = nodes
        .iter()
        .filter(|node| node.has_label(EDGE) || nodes.len() == 1)
        .filter_map(|node| node.address().parse().ok())
        .collect();
    let named = names
        .iter()
        .zip(answers)
        .filter(|(name, _)| !name.is_empty());
    named
        .map(|(name, answer)| check_name(name, &answer, (&edges, edge.tls)))
        .collect()
}

fn check_name(name: &str, answer: &[IpAddr], (edges, tls): (&[IpAddr], Tls)) -> Finding {
    let records = "`cargo xtask production setup` prints the records to make";
    if answer.is_empty() {
        let problem = Problem::new(format!("{name} does not resolve"));
        return Finding::error("names", problem.hint(records));
    }
    let listed: Vec<String> = answer.iter().map(ToString::to_string).collect();
    let what = format!("{name} leads to {}", listed.join(", "));
    // A proxy, or a machine behind one, has another address.
    let is_known = answer.iter().any(|address| edges.contains(address));
    if is_known || tls == Tls::Off {
        return Finding::good("names", what);
    }
    let problem = Problem::new(format!(
        "{what}, which is no address of an edge that the swarm knows"
    ));
    Finding::warning("names", problem.hint(records))
}

/// Whether both applications answer through every edge.
pub fn check_served(swarm: &Swarm, stack: &StackFile, here: &str) -> Finding {
    match ask_edges(swarm, stack, here) {
        Ok(count) => Finding::good(
            "edge",
            format!("both applications are served, edges asked: {count}"),
        ),
        Err(error) => Finding::error("edge", Problem::of(&error)),
    }
}

fn ask_edges(swarm: &Swarm, stack: &StackFile, here: &str) -> anyhow::Result<usize> {
    let edge = Edge::of(swarm.docker.values());
    let image = stack.service("umami").map(|it| &it["image"]);
    let image = image.and_then(|it| it.as_str()).unwrap_or_default();
    let ways = EdgeWay::all(swarm, &edge, image, here)?;
    for way in &ways {
        way.check_answers()?;
    }
    Ok(ways.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::Level;

    #[test]
    fn a_name_is_unknown_foreign_or_ours() {
        let edges = ["192.0.2.7".parse().unwrap()];
        let level = |answer: &[&str], tls| {
            let answer: Vec<IpAddr> = answer.iter().map(|it| it.parse().unwrap()).collect();
            check_name("a.example.com", &answer, (&edges, tls)).level
        };
        assert_eq!(level(&[], Tls::Public), Level::Error);
        assert_eq!(level(&["192.0.2.8"], Tls::Public), Level::Warning);
        assert_eq!(level(&["192.0.2.8"], Tls::Off), Level::Good);
        assert_eq!(level(&["192.0.2.8", "192.0.2.7"], Tls::Public), Level::Good);
    }
}
