//! How the two applications are asked: requests, answers, and the way there without TLS.
//!
//! An error names the address and never what was sent: a login holds a password. Never goes through a
//! proxy: what it asks is on this machine.

use std::fmt;
use std::io;
use std::time::Duration;

use anyhow::{anyhow, bail};
use serde_json::Value;

use crate::apps::deployment::Deployment;
use crate::problem::Problem;
use crate::system::{ask, http};

/// Umami drops what does not look like a browser's, and answers 200.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A healthy application answers in a fraction of a second, on a machine at its limit in five.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A request without its server.
pub struct Request<'a> {
    pub method: &'static str,
    /// With the query.
    pub path: &'a str,
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: String,
}

pub struct Answer {
    pub status: u16,
    /// `Null` when the answer is no JSON.
    pub body: Value,
    /// `name=value` of each cookie that was set.
    pub cookies: Vec<String>,
    /// What was asked for, without the query.
    pub path: String,
}

/// A way on which a request reaches a server.
pub trait Transport {
    /// Sends a request to `base` (scheme, host and port). Any status is an answer; a redirection is not
    /// followed.
    ///
    /// # Errors
    /// When nothing answers in time; says at which address, and why where that is known.
    fn send(&self, base: &str, request: &Request) -> anyhow::Result<Answer>;

    /// Where it leads.
    fn deployment(&self) -> Deployment {
        Deployment::Here
    }
}

/// From this machine, without TLS.
pub struct Direct;

impl<'a> Request<'a> {
    pub fn get(path: &'a str) -> Request<'a> {
        Request::new("GET", path)
    }

    pub fn delete(path: &'a str) -> Request<'a> {
        Request::new("DELETE", path)
    }

    /// A POST with a body that is no JSON.
    pub fn post(path: &'a str, body: String) -> Request<'a> {
        Request {
            body,
            ..Request::new("POST", path)
        }
    }

    pub fn post_json(path: &'a str, body: &Value) -> Request<'a> {
        Request::post(path, body.to_string()).header("Content-Type", "application/json")
    }

    /// The same with one more header. A later one replaces an earlier one of its name.
    pub fn header(mut self, name: &'a str, value: &'a str) -> Request<'a> {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name, value));
        self
    }

    fn new(method: &'static str, path: &'a str) -> Request<'a> {
        Request {
            method,
            path,
            headers: vec![("User-Agent", BROWSER)],
            body: String::new(),
        }
    }
}

impl Transport for Direct {
    fn send(&self, base: &str, request: &Request) -> anyhow::Result<Answer> {
        let Some(host) = base.strip_prefix("http://") else {
            bail!("{base} is no address that can be asked from here");
        };
        let headers = [&request.headers[..], &[("Connection", "close")]].concat();
        let question = http::Request {
            method: request.method,
            path: request.path,
            host,
            headers: &headers,
            body: &request.body,
        };
        let answer = ask::ask(&question, TIMEOUT);
        let (head, body) = answer.map_err(|error| unanswered(base, &error))?;
        let cookies = head.headers("set-cookie").filter_map(cookie_pair);
        Ok(Answer {
            status: head.status,
            cookies: cookies.collect(),
            body: serde_json::from_str(&body).unwrap_or_default(),
            path: without_query(request.path),
        })
    }
}

fn unanswered(base: &str, error: &io::Error) -> anyhow::Error {
    if !matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    ) {
        return anyhow!("nothing answers at {base}: {error}");
    }
    let seconds = TIMEOUT.as_secs();
    Problem::new(format!("{base} did not answer within {seconds} s"))
        .hint("repeat the command when this machine has less to do; `cargo xtask status` shows its services")
        .into()
}

/// `name=value` of a Set-Cookie header. GlitchTip 5.2's has a space too many before it.
pub fn cookie_pair(header: &str) -> Option<String> {
    let pair = header.split(';').next()?.trim();
    pair.contains('=').then(|| pair.to_owned())
}

pub fn without_query(path: &str) -> String {
    path.split('?').next().unwrap_or_default().to_owned()
}

impl Answer {
    /// The body of a 200.
    ///
    /// # Errors
    /// With `application` and what it answered instead.
    pub fn success(self, application: &str) -> anyhow::Result<Value> {
        if self.status != 200 {
            bail!("{application} answers {self}");
        }
        Ok(self.body)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} to {}", self.status, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_whatever_spaces_are_around_it() {
        #[track_caller]
        fn check(header: &str, expected: Option<&str>) {
            assert_eq!(cookie_pair(header).as_deref(), expected);
        }
        check("csrftoken=a; Path=/", Some("csrftoken=a"));
        check(" csrftoken=a; expires=x", Some("csrftoken=a"));
        check("\tsessionid=b=c", Some("sessionid=b=c"));
        check("", None);
        check("; Path=/", None);
    }

    #[test]
    fn a_later_header_replaces_an_earlier_one() {
        let request = Request::get("/").header("user-agent", "curl/8");
        assert_eq!(request.headers, [("user-agent", "curl/8")]);
    }

    #[test]
    fn a_server_that_is_too_slow_is_not_called_absent() {
        let what =
            |kind| Problem::of(&unanswered("http://127.0.0.1:1", &io::Error::from(kind))).what;
        for kind in [io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock] {
            assert_eq!(what(kind), "http://127.0.0.1:1 did not answer within 10 s");
        }
        let refused = what(io::ErrorKind::ConnectionRefused);
        assert!(refused.starts_with("nothing answers at http://127.0.0.1:1: "));
    }
}
