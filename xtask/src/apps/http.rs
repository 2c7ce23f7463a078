//! The only module that speaks HTTP: to the two applications, on their published ports, without TLS.
//!
//! An error names the address and never what was sent: a login holds a password.

use std::fmt;
use std::time::Duration;

use anyhow::{anyhow, bail};
use serde_json::Value;

/// Umami drops what does not look like a browser's, and answers 200.
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A healthy application answers in a fraction of a second, on a machine at its limit in five.
const TIMEOUT: Duration = Duration::from_secs(10);

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
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Delete => "DELETE",
    };
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{base}{path}"))
        .header("User-Agent", USER_AGENT);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let nothing = |error: ureq::Error| anyhow!("nothing answers at {base}: {error}");
    let Ok(request) = request.body(body.to_owned()) else {
        // It holds a header's value, which may be a secret.
        bail!("{base} is no address that can be asked");
    };
    let mut answer = agent.run(request).map_err(nothing)?;
    let cookies = answer.headers().get_all("Set-Cookie").iter();
    let cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    Ok(Answer {
        status: answer.status().as_u16(),
        cookies: cookies.map(str::to_owned).collect(),
        body: serde_json::from_str(&answer.body_mut().read_to_string().map_err(nothing)?)
            .unwrap_or_default(),
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
