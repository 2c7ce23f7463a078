//! The public names: known to DNS, leading to an edge, and served by it. Only looks.

use std::collections::BTreeMap;
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

/// Where the names lead: `known` are the addresses that the engine's machine has for them, and this machine is asked
/// for those that it does not know.
pub fn check_names(
    values: &Values,
    nodes: &[Node],
    known: &BTreeMap<String, Vec<IpAddr>>,
) -> Vec<Finding> {
    let edge = Edge::of(values);
    let names = [&edge.umami, &edge.glitchtip].into_iter();
    let names: Vec<&String> = names.filter(|name| !name.is_empty()).collect();
    let unknown = names.iter().filter(|name| !known.contains_key(**name));
    let unknown: Vec<String> = unknown.map(|name| (**name).clone()).collect();
    let answers = resolver::resolve(unknown.iter().cloned(), PATIENCE);
    let answers: BTreeMap<String, Vec<IpAddr>> = unknown.into_iter().zip(answers).collect();
    let edges: Vec<IpAddr> = nodes
        .iter()
        .filter(|node| node.has_label(EDGE) || nodes.len() == 1)
        .filter_map(|node| node.address().parse().ok())
        .collect();
    let answer = |name: &str| known.get(name).or(answers.get(name));
    names
        .into_iter()
        .map(|name| {
            let answer = answer(name).map_or(&[][..], Vec::as_slice);
            check_name(name, answer, (&edges, edge.tls))
        })
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

/// Whether each edge can get certificates: an authority looks where the names lead, which is one edge of them, and
/// another one asked.
pub fn check_authority(values: &Values, nodes: &[Node]) -> Option<Finding> {
    let edges: Vec<&str> = nodes
        .iter()
        .filter(|node| node.has_label(EDGE))
        .map(Node::hostname)
        .collect();
    let [first, others @ ..] = edges.as_slice() else {
        return None;
    };
    if values.text("TLS") != "acme" || others.is_empty() {
        return None;
    }
    let what = format!(
        "with TLS=acme each of the edges {} asks for certificates of its own, and the authority may look at another one",
        edges.join(", ")
    );
    let remove = others
        .iter()
        .map(|node| format!("`docker node update --label-rm {EDGE} {node}`"));
    let hint = format!(
        "leave the label to one node, here {first}: {}; or put a proxy that has the certificates in front, and set TLS=off",
        remove.collect::<Vec<_>>().join(", ")
    );
    Some(Finding::warning("names", Problem::new(what).hint(hint)))
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
    use crate::env::template::Template;
    use crate::swarm::nodes::parse;

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
    #[test]
    fn two_edges_with_certificates_of_their_own_are_one_too_many() {
        let node = |name: &str| {
            format!(
                r#"{{"ID":"{name}","Spec":{{"Labels":{{"analytics.edge":"true"}},"Availability":"active"}},
                    "Description":{{"Hostname":"{name}"}},"Status":{{"State":"ready","Addr":"10.0.0.1"}}}}"#
            )
        };
        let (one, two) = (node("n1"), node("n2"));
        let found = |tls: &str, nodes: &str| {
            let template = Template::parse("# TLS=acme\n").unwrap();
            let values = Values::of(template, tls, ".env", &|_| None).unwrap();
            check_authority(&values, &parse(&format!("[{nodes}]")).unwrap())
        };
        let finding = found("", &format!("{one},{two}")).unwrap();
        assert!(finding.problem.what.contains("the edges n1, n2"));
        let hint = finding.problem.hint.unwrap();
        assert!(
            hint.contains("`docker node update --label-rm analytics.edge n2`"),
            "{hint}"
        );
        assert!(found("", &one).is_none());
        assert!(found("TLS=off\n", &format!("{one},{two}")).is_none());
    }
}
