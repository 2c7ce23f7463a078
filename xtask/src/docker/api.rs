//! The engine's own API, over the streams of `docker system dial-stdio`: it reaches whatever engine docker
//! reaches, through every context and SSH.
//!
//! Must never be the only way to something that a docker command can tell as well.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::thread;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::download::{Message, parse_message};
use super::reference::{Reference, render_pull};
use super::versions::Version;
use super::{Docker, inspect, stats};
use crate::system::http;

/// The version of the API whose answers are understood here: that of the oldest engine that we take.
const KNOWN_API: Version = Version(1, 44, 0);

/// The engine asks for one, and takes any.
const HOST: &str = "docker";

/// A connection to the engine.
pub struct Connection {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// What paths begin with: `/v1.44`.
    version: String,
    child: Dialled,
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
            child,
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

    /// Starts the pull of an image, for its platform or else for that of `DOCKER_DEFAULT_PLATFORM` or of the
    /// engine, with the credentials that docker has for its registry. What happens is told to `tell`, from
    /// another thread; the last is [`Told::Ended`].
    ///
    /// # Errors
    /// When the engine does not answer, or what keeps the credentials does not work.
    pub fn start_pull(
        &self,
        image: &str,
        platform: Option<&str>,
        tell: impl FnMut(Told) + Send + 'static,
    ) -> anyhow::Result<Pull> {
        let default = self.variable("DOCKER_DEFAULT_PLATFORM");
        let path = render_pull(image, platform.or(default.as_deref()));
        let auth = self.registry_auth(Reference::parse(image).registry)?;
        let headers = auth.iter().map(|auth| ("X-Registry-Auth", auth.as_str()));

        let mut connection = self.connect()?;
        connection.send("POST", &path, &headers.collect::<Vec<_>>())?;
        let Connection {
            to, from, child, ..
        } = connection;
        thread::spawn(move || follow(from, tell));
        Ok(Pull {
            _to: to,
            _child: child,
        })
    }

    /// Asks the engine for something of its API, with `body` where that is not empty; returns what it answers.
    /// Neither is shown anywhere, so a secret may be in them.
    ///
    /// # Errors
    /// When the engine does not answer, or refuses: in its words.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let mut connection = self.connect()?;
        let path = connection.path(path);
        connection.write(&http::Request {
            method,
            path: &path,
            host: HOST,
            headers: &[("Content-Type", "application/json")],
            body,
        })?;
        match connection.receive()? {
            (200..=299, text) => Ok(text),
            (_, text) => {
                let message: serde_json::Result<Refusal> = serde_json::from_str(&text);
                let words = message.map_or(text, |refusal| refusal.message);
                bail!("the engine refuses: {}", self.redact(words.trim()))
            }
        }
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

/// A pull under way. Without the value the engine ends it; what it had of the image goes, unless its store is
/// containerd's (Engine 26, 2026-11-25).
pub struct Pull {
    _to: ChildStdin,
    _child: Dialled,
}

/// What is told of a pull.
#[derive(Debug)]
pub enum Told {
    Progress(Message),
    /// `Err` in the engine's words.
    Ended(Result<(), String>),
}

/// Tells all that the engine answers to a pull.
fn follow(mut from: impl BufRead, mut tell: impl FnMut(Told)) {
    let ended = match follow_to_end(&mut from, &mut tell) {
        Ok(ended) => ended,
        Err(error) => Err(format!(
            "error during connect: the engine's answer ended: {error}"
        )),
    };
    tell(Told::Ended(ended));
}

/// Tells the progress; returns how it ended.
fn follow_to_end(
    from: &mut impl BufRead,
    tell: &mut impl FnMut(Told),
) -> io::Result<Result<(), String>> {
    let head = http::read_head(from)?;
    let body = head.body(from);
    if head.status != 200 {
        let text = body.text()?;
        let message: serde_json::Result<Refusal> = serde_json::from_str(&text);
        return Ok(Err(message.map_or(text, |refusal| refusal.message)));
    }
    for line in BufReader::new(body).lines() {
        let message = parse_message(&line?)?;
        if let Some(error) = message.error {
            return Ok(Err(error));
        }
        tell(Told::Progress(message));
    }
    Ok(Ok(()))
}

/// Why the engine does not do something.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Connection {
    fn agree_on_version(&mut self) -> anyhow::Result<()> {
        self.send("GET", "/_ping", &[])?;
        let head = http::read_head(&mut self.from).context("connecting to the engine")?;
        head.body(&mut self.from).text()?;
        let newest = head.headers("api-version").find_map(Version::parse);
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

    /// A path of the version that was agreed on.
    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.version)
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<()> {
        let path = self.path(path);
        self.write(&http::Request {
            method,
            path: &path,
            host: HOST,
            headers,
            body: "",
        })
    }

    fn write(&mut self, request: &http::Request) -> anyhow::Result<()> {
        let text = request.render();
        let sent = text.and_then(|text| self.to.write_all(text.as_bytes()));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages were told, and how a pull with this answer ended.
    fn outcome(answer: &str) -> (usize, Result<(), String>) {
        let mut told = Vec::new();
        follow(answer.as_bytes(), |it| told.push(it));
        match told.pop() {
            Some(Told::Ended(ended)) => (told.len(), ended),
            other => panic!("{other:?}"),
        }
    }

    fn chunked(lines: &[&str]) -> String {
        let chunk = |line: &&str| format!("{:x}\r\n{line}\r\n\r\n", line.len() + 2);
        let chunks: String = lines.iter().map(chunk).collect();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
    }

    #[test]
    fn a_pull_ends_well_only_with_the_end_of_the_answer() {
        let line = r#"{"status":"Pulling fs layer","progressDetail":{},"id":"a"}"#;
        let whole = chunked(&[line, line]) + "0\r\n\r\n";
        assert_eq!(outcome(&whole), (2, Ok(())));
        for cut in [0, 10, whole.len() - 2, whole.len() - 30] {
            let (_, ended) = outcome(&whole[..cut]);
            assert!(
                ended.unwrap_err().starts_with("error during connect"),
                "{cut}"
            );
        }
        assert!(outcome(&chunked(&["<html>"])).1.is_err());
    }

    #[test]
    fn a_pull_that_fails_ends_with_the_engine_s_words() {
        let refused = r#"{"message":"manifest for x:1 not found: manifest unknown"}"#;
        let length = refused.len();
        let refused =
            format!("HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\n\r\n{refused}");
        let words = "manifest for x:1 not found: manifest unknown".to_owned();
        assert_eq!(outcome(&refused), (0, Err(words)));
        let late = r#"{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}"#;
        let late = chunked(&[r#"{"status":"Waiting","id":"a"}"#, late]);
        assert_eq!(outcome(&late), (1, Err("unexpected EOF".to_owned())));
    }
}
