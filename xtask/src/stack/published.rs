//! Where the services answer: the addresses at which the engine publishes the ports of what runs. Must
//! never guess an address from a name or from the configuration.

use std::collections::BTreeMap;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::docker::inspect::Container;
use crate::problem::Problem;
use crate::stack::desired::Config;
use crate::system::{ports, resolver};
use crate::terminal::text::render_table;

/// How long this machine may take to say where `localhost` leads, and who answers there.
const PATIENCE: Duration = Duration::from_millis(300);

/// The published addresses of a service that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub service: String,
    /// At least one.
    bindings: Vec<SocketAddr>,
}

/// The addresses of `localhost` here, and whether each is answered by somebody who is not ours.
struct Localhost {
    addresses: Vec<IpAddr>,
    is_answered: fn(SocketAddr) -> bool,
}

impl Endpoint {
    /// The address at which a service is published.
    ///
    /// # Errors
    /// When it does not run, or runs without a published port.
    pub fn of(
        config: &Config,
        containers: &BTreeMap<String, Container>,
        service: &str,
    ) -> Result<Endpoint, Problem> {
        let container = containers.get(service);
        let state = container.map_or("not created", |it| &it.state.status);
        let Some(container) = container.filter(|it| it.state.status == "running") else {
            let problem = Problem::new(format!("{service} is not running ({state})"));
            return Err(problem.hint("start it with `cargo xtask up`"));
        };
        let bindings = published(config, container, service);
        if bindings.is_empty() {
            let problem = Problem::new(format!("{service} runs without a published port"));
            return Err(problem.hint(
                "publish one in deploy/analytics/docker-compose.override.yml, then `cargo xtask up`",
            ));
        }
        Ok(Endpoint {
            service: service.to_owned(),
            bindings,
        })
    }

    /// The URL to talk to: an address, never a name.
    pub fn url(&self) -> String {
        format!("http://{}", reachable(self.bindings[0]))
    }

    /// The URL of the same port under a name.
    pub fn url_at(&self, hostname: &str) -> String {
        format!("http://{hostname}:{}", self.bindings[0].port())
    }

    /// The URL to show: at `localhost` where that leads to nobody else, else [`Endpoint::url`].
    pub fn shown_url(&self) -> String {
        let localhost = Localhost {
            addresses: resolver::resolve(iter::once("localhost".to_owned()), PATIENCE).concat(),
            is_answered: |address| ports::is_answered(address, PATIENCE),
        };
        self.choose_url(&localhost)
    }

    fn choose_url(&self, localhost: &Localhost) -> String {
        let port = self.bindings[0].port();
        let addresses = || localhost.addresses.iter().map(|ip| (*ip, port).into());
        let leads_here = addresses().any(|it| self.has(it));
        let leads_elsewhere = addresses().any(|it| !self.has(it) && (localhost.is_answered)(it));
        if leads_here && !leads_elsewhere {
            format!("http://localhost:{port}")
        } else {
            self.url()
        }
    }

    /// Whether the engine publishes the service at this address.
    fn has(&self, address: SocketAddr) -> bool {
        self.bindings.iter().any(|binding| {
            let is_any = binding.ip().is_unspecified() && binding.is_ipv4() == address.is_ipv4();
            binding.port() == address.port() && (is_any || binding.ip() == address.ip())
        })
    }
}

/// Each service that is published now, by name.
pub fn endpoints(config: &Config, containers: &BTreeMap<String, Container>) -> Vec<Endpoint> {
    let published = config
        .services
        .iter()
        .filter(|(_, service)| !service.ports.is_empty());
    published
        .filter_map(|(name, _)| Endpoint::of(config, containers, name).ok())
        .collect()
}

/// The URLs of endpoints as a table.
pub fn render(endpoints: &[Endpoint]) -> String {
    let row = |endpoint: &Endpoint| vec![endpoint.service.clone(), endpoint.shown_url()];
    render_table(&endpoints.iter().map(row).collect::<Vec<_>>())
}

/// Where the first port of a service is published, the easiest address to reach first.
fn published(config: &Config, container: &Container, service: &str) -> Vec<SocketAddr> {
    let ports = config.services.get(service).map(|it| it.ports.as_slice());
    let Some(port) = ports.and_then(|ports| ports.first()) else {
        return Vec::new();
    };
    let mut bindings = container.published(port.target);
    bindings.sort_by_key(|it| (!reachable(*it).ip().is_loopback(), it.is_ipv6()));
    bindings
}

/// The address of this machine that leads to a binding.
fn reachable(binding: SocketAddr) -> SocketAddr {
    let ip = match binding.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, binding.port()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Others = fn(SocketAddr) -> bool;

    const BOTH: [&str; 2] = ["127.0.0.1", "::1"];

    fn endpoint(bindings: &[&str]) -> Endpoint {
        Endpoint {
            service: "umami".to_owned(),
            bindings: bindings.iter().map(|it| it.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn localhost_is_shown_only_where_it_leads_to_nobody_else() {
        #[track_caller]
        fn check(bindings: &[&str], localhost: &[&str], others: Others, url: &str) {
            let localhost = Localhost {
                addresses: localhost.iter().map(|it| it.parse().unwrap()).collect(),
                is_answered: others,
            };
            assert_eq!(endpoint(bindings).choose_url(&localhost), url);
        }
        let nobody: Others = |_| false;
        let somebody: Others = |_| true;
        let v4 = ["127.0.0.1:3001"];
        check(&v4, &BOTH, nobody, "http://localhost:3001");
        check(&v4, &BOTH, somebody, "http://127.0.0.1:3001");
        check(&v4, &["127.0.0.1"], somebody, "http://localhost:3001");
        check(&v4, &["::1"], nobody, "http://127.0.0.1:3001");
        check(&v4, &[], nobody, "http://127.0.0.1:3001");

        let v6 = ["[::1]:3001"];
        check(&v6, &BOTH, nobody, "http://localhost:3001");
        check(&v6, &BOTH, somebody, "http://[::1]:3001");
        check(&v6, &["127.0.0.1"], nobody, "http://[::1]:3001");

        let all = ["0.0.0.0:3001", "[::]:3001"];
        check(&all, &BOTH, somebody, "http://localhost:3001");
        check(&all[..1], &BOTH, somebody, "http://127.0.0.1:3001");
        check(&all[1..], &BOTH, somebody, "http://[::1]:3001");
        check(
            &["127.0.0.1:3001", "[::1]:3009"],
            &BOTH,
            somebody,
            "http://127.0.0.1:3001",
        );
        check(&["192.0.2.7:3001"], &BOTH, nobody, "http://192.0.2.7:3001");
    }

    #[test]
    fn an_endpoint_is_that_of_a_running_container() {
        #[track_caller]
        fn check(status: &str, ports: &str, expected: Result<&str, &str>) {
            let config = "name: a\nservices: {umami: {ports: [{target: 3000, published: '3001'}]}}";
            let config = Config::parse(config).unwrap();
            let json = format!(
                r#"[{{"Id":"1","Name":"/umami","Image":"sha256:1","State":{{"Status":"{status}"}},
                "Config":{{"Image":"umami","Labels":{{"com.docker.compose.service":"umami"}}}},
                "HostConfig":{{}},"NetworkSettings":{{"Ports":{ports}}}}}]"#
            );
            let containers = crate::docker::inspect::parse_inspect(&json).unwrap();
            let containers = containers.into_iter().map(|it| ("umami".to_owned(), it));
            let found = Endpoint::of(&config, &containers.collect(), "umami");
            let found = found.map(|it| it.url()).map_err(|problem| problem.what);
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        }
        let ports = r#"{"3000/tcp":[{"HostIp":"::1","HostPort":"4000"},{"HostIp":"0.0.0.0","HostPort":"4001"}]}"#;
        check("running", ports, Ok("http://127.0.0.1:4001"));
        check(
            "running",
            r#"{"3000/tcp":[{"HostIp":"192.0.2.7","HostPort":"80"},{"HostIp":"::1","HostPort":"80"}]}"#,
            Ok("http://[::1]:80"),
        );
        check("running", "{}", Err("umami runs without a published port"));
        check("exited", "{}", Err("umami is not running (exited)"));
    }
}
