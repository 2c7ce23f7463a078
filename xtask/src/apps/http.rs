//! The only module that speaks HTTP: to the two applications, on their published ports, without TLS.
//!
//! An error names the address and never what was sent: a login holds a password.

use std::fmt;

use anyhow::{anyhow, bail};
use serde_json::Value;

/// Umami drops what does not look like a browser's, and answers 200.
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Seconds; a healthy application answers in a fraction of one, on a machine at its limit in five.
const TIMEOUT: u64 = 10;

#[derive(Clone, Copy)]
pub enum Method {
    Get,
    Post,
    Delete,
}

pub struct Answer {
    pub status: u16,
    /// `Null` when the answer is no JSON.
    pub body: Value,
    /// `name=value` of each cookie that was set.
    pub cookies: Vec<String>,
    path: String,
}

/// Asks `base` + `path` with a browser's User-Agent. Any status is an answer.
///
/// # Errors
/// When nothing answers within 10 s.
pub fn ask(
    method: Method,
    base: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<Answer> {
    let url = format!("{base}{path}");
    let request = match method {
        Method::Get => minreq::get(url),
        Method::Post => minreq::post(url),
        Method::Delete => minreq::delete(url),
    };
    let answer = request
        .with_header("User-Agent", USER_AGENT)
        .with_headers(headers.iter().copied())
        .with_body(body)
        .with_follow_redirects(false)
        .with_timeout(TIMEOUT)
        .send()
        .map_err(|error| anyhow!("nothing answers at {base}: {error}"))?;
    // minreq 3 makes a 503 of a connection that was closed without a word, as Docker's proxy does while
    // nobody listens in the container.
    if answer.headers.is_empty() {
        bail!("nothing answers at {base}: the connection was closed");
    }
    let cookies = answer
        .headers("Set-Cookie")
        .filter_map(|cookie| cookie.split(';').next());
    Ok(Answer {
        status: answer.status_code,
        cookies: cookies.map(str::to_owned).collect(),
        body: serde_json::from_slice(answer.as_bytes()).unwrap_or_default(),
        path: path.split('?').next().unwrap_or_default().to_owned(),
    })
}

pub fn get(base: &str, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
    ask(Method::Get, base, path, headers, "")
}

pub fn post_json(
    base: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> anyhow::Result<Answer> {
    let headers = [&[("Content-Type", "application/json")], headers].concat();
    ask(Method::Post, base, path, &headers, &body.to_string())
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
