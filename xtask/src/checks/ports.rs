//! Whether the stack's ports are free, and who has them otherwise. Only looks.

use super::Scene;
use super::finding::Finding;
use crate::problem::Problem;
use crate::stack::Stack;
use crate::system::ports::{self, Port, Process};

const CHECK: &str = "ports";

/// The ports that the configuration publishes.
pub fn check(scene: &Scene) -> Vec<Finding> {
    let services = scene.config.services.iter();
    let published = services.flat_map(|(name, it)| it.ports.iter().map(move |port| (name, port)));
    published
        .filter_map(|(service, port)| {
            let wanted = Wanted {
                service,
                address: &port.host_ip,
                port: port.published.parse().ok()?,
            };
            wanted.check(scene)
        })
        .collect()
}

/// A port that a service is to be published at.
struct Wanted<'a> {
    service: &'a str,
    address: &'a str,
    port: u16,
}

impl Wanted<'_> {
    fn check(&self, scene: &Scene) -> Option<Finding> {
        let port = self.port;
        match scene.engine.port_owner(port, &scene.config.name) {
            Some(Ok(())) => {
                return Some(Finding::good(
                    CHECK,
                    format!("port {port} is used by this stack"),
                ));
            }
            Some(Err(container)) => {
                let who = format!("the container {}", container.name);
                return Some(self.taken(scene, &who, &container.way_to_end()));
            }
            None => {}
        }
        match ports::look(self.address, port) {
            Port::Free => Some(Finding::good(CHECK, format!("port {port} is free"))),
            Port::NoSuchAddress => Some(self.no_such_address()),
            // With an engine on another machine our own ports say nothing.
            Port::Taken(_) if scene.engine.is_remote() => None,
            // By itself, it may be; if not, the engine refuses it by name.
            Port::Taken(_) if scene.engine.has_restarting(&scene.config.name) => None,
            Port::Taken(holder) => {
                let who = match &holder {
                    Some(process) => process.to_string(),
                    None => "a process of another user".to_owned(),
                };
                Some(self.taken(scene, &who, &self.way_to_free(holder.as_ref())))
            }
        }
    }

    fn no_such_address(&self) -> Finding {
        let what = format!("{} is not an address of this machine", self.address);
        let hint = "set BIND_ADDRESS in deploy/analytics/.env to one that it has; 127.0.0.1 is the default";
        Finding::error(CHECK, Problem::new(what).hint(hint))
    }

    fn way_to_free(&self, holder: Option<&Process>) -> String {
        let port = self.port;
        match holder {
            Some(process) => format!("`kill {}`", process.pid),
            None if cfg!(target_os = "linux") => {
                format!("stop what `sudo ss -ltnp sport = :{port}` shows")
            }
            None => format!("stop what `sudo lsof -iTCP:{port} -sTCP:LISTEN` shows"),
        }
    }

    fn taken(&self, scene: &Scene, who: &str, by_hand: &str) -> Finding {
        let what = format!(
            "port {}, for {}, is taken by {who}",
            self.port, self.service
        );
        // Looked up for those that are taken alone: it takes Compose a fifth of a second.
        let variables = Stack::variables(scene.docker).remove(self.service);
        let port = variables.map(|variables| variables.port);
        let elsewhere = match port.as_deref() {
            None | Some("") => {
                "publish another port in deploy/analytics/docker-compose.override.yml".to_owned()
            }
            Some(variable) => format!("set {variable} in deploy/analytics/.env to a free port"),
        };
        Finding::error(
            CHECK,
            Problem::new(what).hint(format!("{by_hand}, or {elsewhere}")),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::docker::engine::{Engine, parse_things};

    fn engine(containers: &str) -> Engine {
        Engine {
            containers: parse_things(containers),
            ..Engine::default()
        }
    }

    #[test]
    fn a_container_between_two_starts_may_hold_its_port() {
        let in_state = |state: &str| engine(&format!("umami\tanalytics\t/srv\t\t{state}\n"));
        assert!(in_state("restarting").has_restarting("analytics"));
        assert!(!in_state("restarting").has_restarting("other"));
        assert!(!in_state("exited").has_restarting("analytics"));
    }

    #[test]
    fn a_port_has_an_owner() {
        let things = engine(
            "umami\tanalytics\t/c\t127.0.0.1:3001->3000/tcp, 5432/tcp\nweb\t\t\t[::]:80-82->80-82/tcp\n",
        );
        assert_eq!(things.port_owner(3001, "analytics"), Some(Ok(())));
        let owner = |port, project| things.port_owner(port, project).unwrap().unwrap_err();
        assert_eq!(owner(3001, "other").name, "umami");
        assert_eq!(owner(81, "analytics").name, "web");
        assert_eq!(things.port_owner(5432, "analytics"), None);
    }
}
