//! Where the stack's PostgreSQL is: a service of its own, or a server that is somebody else's. There a
//! program is run by a container of ours that reaches it as the applications do.
//!
//! Must never put a password into an argument: whoever runs the container sets `PGPASSWORD`.

use anyhow::bail;

use super::desired::Config;
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::invocation::Invocation;
use crate::problem::Problem;
use crate::stack;

/// The service that makes roles and databases; it has PostgreSQL's image wherever the server is.
pub const CLIENT: &str = "postgres-init";

/// A PostgreSQL that is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: String,
    /// The project, and the image with the client programs.
    project: String,
    image: String,
    /// Options of `docker run`.
    options: Vec<String>,
}

impl Config {
    /// The server that the stack uses in the place of a service of its own.
    pub fn shared_server(&self) -> Option<Server> {
        let client = self.services.get(CLIENT)?;
        let environment = &client.environment;
        if environment.pghost.is_empty() {
            return None;
        }
        let networks = client.networks.keys();
        let networks = networks.filter_map(|key| Some(self.networks.get(key)?.name.clone()));
        let mut options: Vec<String> = networks
            .flat_map(|name| ["--network".to_owned(), name])
            .collect();
        for (name, value) in [
            ("PGHOST", &environment.pghost),
            ("PGPORT", &environment.pgport),
            ("PGSSLMODE", &environment.pgsslmode),
        ] {
            options.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        let inherited = ["--env", "PGPASSWORD", "--env", "PGCONNECT_TIMEOUT=10"];
        options.extend(inherited.map(str::to_owned));
        Some(Server {
            host: environment.pghost.clone(),
            port: environment.pgport.clone(),
            project: self.name.clone(),
            image: client.image.clone(),
            options,
        })
    }
}

impl Server {
    /// A client program that talks to it with this password.
    pub fn client<'a>(
        &self,
        docker: &'a Docker,
        password: &str,
        command: &[&str],
    ) -> Invocation<'a> {
        let of = (self.project.as_str(), self.image.as_str());
        let client = docker.client(of, &self.options, command);
        client.env("PGPASSWORD", password)
    }
}

/// For what works on a server of the stack's own alone.
///
/// # Errors
/// When the server is somebody else's.
pub fn ensure_dedicated(checkout: &Checkout, verb: &str) -> anyhow::Result<()> {
    match stack::read_config(&Docker::new(checkout)?)?.shared_server() {
        None => Ok(()),
        Some(server) => bail!(
            Problem::new(format!(
                "`{verb}` cannot work on the PostgreSQL at {} yet; nothing was changed",
                server.host
            ))
            .hint("use the tools of that server for its databases; `cargo xtask status` shows the stack")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(host: &str) -> Config {
        Config::parse(&format!(
            "name: x\nservices:\n  postgres-init:\n    image: postgres:15\n    environment: \
             {{PGHOST: '{host}', PGPORT: '5432', PGSSLMODE: require}}\n    \
             networks: {{own: null, other: null}}\n\
             networks: {{own: {{name: own-network}}, other: {{name: directus, external: true}}}}\n"
        ))
        .unwrap()
    }

    #[test]
    fn a_server_is_shared_when_it_has_a_host() {
        assert_eq!(config("").shared_server(), None);
        let server = config("db").shared_server().unwrap();
        assert_eq!((&*server.host, &*server.image), ("db", "postgres:15"));
        let options = server.options.join(" ");
        let expected = "--network directus --network own-network --env PGHOST=db --env PGPORT=5432 \
                        --env PGSSLMODE=require --env PGPASSWORD --env PGCONNECT_TIMEOUT=10";
        assert_eq!(options, expected);
    }
}
