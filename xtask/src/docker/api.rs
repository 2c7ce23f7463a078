//! The engine's own API, over the streams of `docker system dial-stdio`: it reaches whatever engine docker
//! reaches, through every context and SSH.
//!
//! Must never be the only way to something that a docker command can tell as well.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};

use anyhow::{Context, bail};

use super::versions::Version;
use super::{Docker, http, inspect, stats};

/// The version of the API whose answers are understood here: that of the oldest engine that we take.
const KNOWN_API: Version = Version(1, 44, 0);

/// A connection to the engine.
pub struct Connection {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// What paths begin with: `/v1.44`.
    version: String,
    _child: Dialled,
}

/// The process that holds a connection; it ends with the value.
struct Dialled(Child);

impl Drop for Dialled {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Docker {
    /// Connects to the engine and agrees on a version of its API.
    ///
    /// # Errors
    /// When there is no docker, or what answers is not an engine.
    pub fn connect(&self) -> anyhow::Result<Connection> {
        let child = self.docker().args(["system", "dial-stdio"]).dial()?;
        let mut child = Dialled(child);
        let streams = child.0.stdin.take().zip(child.0.stdout.take());
        let (to, from) = streams.context("connecting to the engine")?;
        let mut connection = Connection {
            to,
            from: BufReader::new(from),
            version: String::new(),
            _child: child,
        };
        connection.agree_on_version()?;
        Ok(connection)
    }

    /// Bytes of memory in use by each container that runs, by id, as `docker stats` counts them.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn memory(&self, running: &[&str]) -> anyhow::Result<BTreeMap<String, u64>> {
        if running.is_empty() {
            return Ok(BTreeMap::new());
        }
        let asked = self.connect().and_then(|mut engine| engine.memory(running));
        // `docker stats` watches for two seconds before it says anything.
        asked.or_else(|_| self.slow_memory(running))
    }

    fn slow_memory(&self, running: &[&str]) -> anyhow::Result<BTreeMap<String, u64>> {
        let stats = [
            "stats",
            "--no-stream",
            "--no-trunc",
            "--format",
            "{{json .}}",
        ];
        inspect::parse_memory(&self.docker().args(stats).args(running).text()?)
    }
}

impl Connection {
    fn agree_on_version(&mut self) -> anyhow::Result<()> {
        self.send("GET", "/_ping", &[])?;
        let head = http::read_head(&mut self.from).context("connecting to the engine")?;
        head.body(&mut self.from).text()?;
        let newest = head.api_version.as_deref().and_then(Version::parse);
        let Some(newest) = newest.filter(|_| head.status == 200) else {
            bail!("what answers at the engine's address is no engine");
        };
        let Version(major, minor, _) = newest.min(KNOWN_API);
        self.version = format!("/v{major}.{minor}");
        Ok(())
    }

    /// Asks for all at once and reads the answers after that: they come in the order of the questions.
    fn memory(&mut self, running: &[&str]) -> anyhow::Result<BTreeMap<String, u64>> {
        for id in running {
            let path = format!("/containers/{id}/stats?stream=false&one-shot=true");
            self.send("GET", &path, &[])?;
        }
        let mut memory = BTreeMap::new();
        for id in running {
            let (status, text) = self.receive()?;
            match status {
                200 => {
                    let used = stats::parse_memory(&text)?;
                    memory.extend(used.map(|used| ((*id).to_owned(), used)));
                }
                // It has gone meanwhile.
                404 | 409 => {}
                _ => bail!("the engine answered {status} when asked for statistics"),
            }
        }
        Ok(memory)
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<()> {
        let path = format!("{}{path}", self.version);
        let request = http::render_request(method, &path, headers);
        let sent = self.to.write_all(request.as_bytes());
        sent.and_then(|()| self.to.flush())
            .context("asking the engine")
    }

    fn receive(&mut self) -> anyhow::Result<(u16, String)> {
        let doing = "reading the engine's answer";
        let head = http::read_head(&mut self.from).context(doing)?;
        let text = head.body(&mut self.from).text().context(doing)?;
        Ok((head.status, text))
    }
}
