//! The way in: public names through the edge of each node, as browsers take it.
//!
//! A container on the network of the engine's node asks, so that it works for a swarm that this machine does
//! not reach, and before public DNS knows the names.

use std::io::Read;

use anyhow::{Context, anyhow};

use super::Swarm;
use super::nodes::{self, Node};
use super::settings::{Edge, Tls};
use crate::apps::curl;
use crate::apps::deployment::Deployment;
use crate::apps::glitchtip::GlitchTip;
use crate::apps::http::{Answer, Request, Transport};
use crate::apps::umami::Umami;
use crate::problem::Problem;

/// Asks for certificates.
const SCRIPT: &str = include_str!("scripts/certificates.sh");

/// A certificate, by the name that it is for; both ends of its time in seconds since 1970.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    pub name: String,
    pub begin: u64,
    pub end: u64,
}

/// Reads the lines that certificates.sh prints.
fn parse_certificates(text: &str) -> Vec<Certificate> {
    let certificate = |line: &str| {
        let mut words = line.split(' ');
        Some(Certificate {
            name: words.next()?.to_owned(),
            begin: words.next()?.parse().ok()?,
            end: words.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(certificate).collect()
}

/// The way to the public names through the edge of one node.
pub struct EdgeWay<'a> {
    swarm: &'a Swarm,
    edge: &'a Edge,
    /// An image with curl that the engine has.
    image: &'a str,
    /// Where the edge is.
    address: String,
    /// Its node, for people.
    pub node: String,
}

impl<'a> EdgeWay<'a> {
    /// A way for each node with an edge; `here` is the id of the node whose engine is asked.
    pub fn all(
        swarm: &'a Swarm,
        edge: &'a Edge,
        image: &'a str,
        here: &str,
    ) -> anyhow::Result<Vec<EdgeWay<'a>>> {
        let nodes = swarm.nodes()?;
        let has_edge = |node: &&Node| node.has_label(nodes::EDGE) && node.takes_tasks();
        let way = |node: &Node| EdgeWay {
            swarm,
            edge,
            image,
            address: address(node, here),
            node: node.hostname().to_owned(),
        };
        Ok(nodes.iter().filter(has_edge).map(way).collect())
    }

    /// Umami, this way.
    pub fn umami(&self) -> Umami<'_> {
        Umami {
            url: self.edge.url(&self.edge.umami),
            transport: self,
        }
    }

    /// GlitchTip, this way.
    pub fn glitchtip(&self) -> GlitchTip<'_> {
        GlitchTip {
            url: self.edge.url(&self.edge.glitchtip),
            transport: self,
        }
    }

    /// Whether both applications answer.
    ///
    /// # Errors
    /// When one does not, with what it says in its place.
    pub fn check_answers(&self) -> anyhow::Result<()> {
        self.umami().check_answers()?;
        self.glitchtip().check_answers()
    }

    /// The certificates that the edge presents for the public names: no one for a name that it has none for.
    /// `image` has openssl.
    ///
    /// # Errors
    /// When nobody can be asked.
    pub fn certificates(&self, image: &str) -> anyhow::Result<Vec<Certificate>> {
        let options = ["--network", "host", "--cap-drop", "ALL", "--read-only"].map(str::to_owned);
        let swarm = self.swarm;
        let tool = swarm.docker.tool((&swarm.name, image), SCRIPT, &options);
        let server = format!("{}:{}", self.address, self.edge.port);
        let names = [&self.edge.umami, &self.edge.glitchtip];
        let text = tool.args(["sh", &server]).args(names).text();
        let text = text.with_context(|| format!("asking the edge of {}", self.node))?;
        Ok(parse_certificates(&text))
    }

    /// What curl must know of the way.
    fn options(&self) -> Vec<String> {
        let resolve = |name: &String| {
            let entry = format!("{name}:{}:{}", self.edge.port, self.address);
            format!("resolve = {}", curl::quote(&entry))
        };
        let names = [&self.edge.umami, &self.edge.glitchtip];
        let mut options: Vec<String> = names.into_iter().map(resolve).collect();
        options.push("noproxy = \"*\"".to_owned());
        if self.edge.tls == Tls::Private {
            // Its authority is known to few.
            options.push("insecure".to_owned());
        }
        options
    }
}

impl Transport for EdgeWay<'_> {
    fn deployment(&self) -> Deployment {
        Deployment::Production
    }

    fn send(&self, base: &str, request: &Request) -> anyhow::Result<Answer> {
        let run = [
            "run",
            "--rm",
            "--interactive",
            "--pull",
            "never",
            "--network",
            "host",
        ];
        let safe = ["--log-driver", "none", "--cap-drop", "ALL", "--read-only"];
        let curl = ["--entrypoint", "curl", self.image, "--config", "-"];
        let run = self.swarm.docker.docker().args(run).args(safe).args(curl);
        let mut pipe = run.pipe()?;
        let config = curl::render(base, request, &self.options());
        let mut output = String::new();
        let asked = pipe
            .write(|stdin| Ok(stdin.write_all(config.as_bytes())?))
            .and_then(|()| Ok(pipe.stdout()?.read_to_string(&mut output)?))
            .and_then(|_| pipe.finish());
        asked.map_err(|error| explain(base, &self.node, &format!("{error:#}")))?;
        curl::parse(&output, request.path).with_context(|| format!("curl cannot ask {base}"))
    }
}

/// Where a node is reached from the one whose engine is asked, as curl takes it.
fn address(node: &Node, here: &str) -> String {
    if node.id == here {
        return "127.0.0.1".to_owned();
    }
    let address = node.address();
    if address.contains(':') {
        return format!("[{address}]");
    }
    address.to_owned()
}

/// What curl's error means; its numbers are in `man curl` under EXIT CODES.
fn explain(base: &str, node: &str, error: &str) -> anyhow::Error {
    let Some((_, said)) = error.rsplit_once("curl: (") else {
        return anyhow!("{base} cannot be asked through the edge of {node}: {error}");
    };
    let (code, words) = said.split_once(") ").unwrap_or((said, ""));
    let words = words.trim();
    let problem = Problem::new(format!("the edge of {node} does not serve {base}: {words}"));
    let hint = match code {
        "35" | "60" => {
            "it has no certificate yet: check that the public name leads to this node, and that ports 80 \
             and 443 are open; `cargo xtask production logs edge` says what the authority answered"
        }
        _ => "`cargo xtask production logs edge` says why",
    };
    problem.hint(hint).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_certificate_is_told_from_an_edge_that_is_away() {
        let said = "a container ended with exit status: 60: curl: (60) SSL certificate problem";
        let problem = Problem::of(&explain("https://a.example.com", "n1", said));
        assert_eq!(
            problem.what,
            "the edge of n1 does not serve https://a.example.com: SSL certificate problem"
        );
        assert!(problem.hint.unwrap().contains("no certificate yet"));
        let away = "curl: (7) Failed to connect to a.example.com port 443";
        let problem = Problem::of(&explain("https://a.example.com", "n1", away));
        assert!(problem.hint.unwrap().contains("production logs edge"));
    }
}
