//! The way to the public addresses: through DNS, TLS and whatever stands in front, as others take it. Must
//! never carry a secret.
//!
//! What has no TLS is asked from this machine. TLS is left to the curl in Umami's container, with the
//! certificates of its image: a TLS library of our own would have to be built by everyone.

use std::io::Read;
use std::net::IpAddr;

use anyhow::{Context, anyhow};

use crate::apps::curl;
use crate::apps::http::{Answer, Direct, Request, Transport};
use crate::docker::Docker;
use crate::docker::inspect::Container;
use crate::hosts::hostname::Hostname;
use crate::problem::Problem;

/// The ways to public addresses.
pub struct PublicWay<'a> {
    curl: Curl<'a>,
}

/// From a container, by its curl.
struct Curl<'a> {
    docker: &'a Docker,
    /// Umami's, if it runs.
    container: Option<&'a Container>,
}

/// An address under which others are to reach an application.
#[derive(Debug, PartialEq, Eq)]
pub enum Address {
    /// A name that public DNS knows, or anything with TLS, which means a proxy in front.
    Public(String),
    /// For this machine or its network alone.
    Local { url: String, hostname: String },
}

impl Address {
    /// Tells the one from the other by scheme and name.
    pub fn of(url: &str) -> Address {
        let url = url.to_owned();
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", &url));
        let host = rest.split('/').next().unwrap_or_default();
        let has_port = |(_, port): &(&str, &str)| !port.contains(']');
        let hostname = host.rsplit_once(':').filter(has_port);
        let hostname = hostname.map_or(host, |(hostname, _)| hostname);
        let hostname = hostname.trim_matches(['[', ']']).to_owned();
        if scheme == "https" || !is_local(&hostname) {
            return Address::Public(url);
        }
        Address::Local { url, hostname }
    }

    pub fn url(&self) -> &str {
        match self {
            Address::Public(url) | Address::Local { url, .. } => url,
        }
    }
}

/// An address, or a name that no public DNS server answers for.
fn is_local(hostname: &str) -> bool {
    hostname.parse::<IpAddr>().is_ok()
        || Hostname::parse(hostname).is_ok_and(|hostname| hostname.is_local())
}

/// Reads UMAMI_URL, Umami's public address: without a slash at its end, `None` where there is none.
///
/// # Errors
/// When it is no address of a website.
pub fn parse_umami_url(url: &str) -> Result<Option<String>, Problem> {
    let url = url.trim().trim_end_matches('/');
    if url.is_empty() {
        return Ok(None);
    }
    let host = url.strip_prefix("https://").or(url.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.contains(['@', '?', '#', ' '])) {
        let problem = Problem::new("UMAMI_URL in deploy/analytics/.env is no address of a website");
        return Err(problem.hint("write it as in UMAMI_URL=https://analytics.example.com"));
    }
    Ok(Some(url.to_owned()))
}

impl<'a> PublicWay<'a> {
    /// `umami` is Umami's container.
    pub fn new(docker: &'a Docker, umami: Option<&'a Container>) -> PublicWay<'a> {
        let container = umami.filter(|it| it.state.status == "running");
        PublicWay {
            curl: Curl { docker, container },
        }
    }

    /// The way to a URL.
    pub fn transport(&self, url: &str) -> &dyn Transport {
        if url.starts_with("https:") {
            &self.curl
        } else {
            &Direct
        }
    }
}

impl Transport for Curl<'_> {
    fn send(&self, base: &str, request: &Request) -> anyhow::Result<Answer> {
        let container = self.container.context(
            Problem::new(format!(
                "{base} is asked from Umami's container, which does not run"
            ))
            .hint("start it with `cargo xtask up`"),
        )?;
        let exec = ["exec", "--interactive", &container.id];
        let curl = ["curl", "--config", "-"];
        let mut pipe = self.docker.docker().args(exec).args(curl).pipe()?;
        let config = curl::render(base, request, &[]);
        let mut output = String::new();
        let asked = pipe
            .write(|stdin| Ok(stdin.write_all(config.as_bytes())?))
            .and_then(|()| Ok(pipe.stdout()?.read_to_string(&mut output)?))
            .and_then(|_| pipe.finish());
        asked.map_err(|error| explain(base, &format!("{error:#}")))?;
        curl::parse(&output, request.path).with_context(|| format!("curl cannot ask {base}"))
    }
}

/// What curl's error means; its numbers are in `man curl` under EXIT CODES.
fn explain(base: &str, error: &str) -> anyhow::Error {
    let Some((_, said)) = error.rsplit_once("curl: (") else {
        return anyhow!("{base} cannot be asked from Umami's container: {error}");
    };
    let (code, words) = said.split_once(") ").unwrap_or((said, ""));
    let problem = Problem::new(format!("nothing answers at {base}: {}", words.trim()));
    let hint = match code {
        "6" => "let the name lead to the proxy in front of this stack, in its DNS zone",
        "7" | "28" => "start the proxy in front of this stack, and open its port in the firewall",
        "35" | "60" => "give the proxy in front of this stack a certificate that browsers accept",
        _ => return problem.into(),
    };
    problem.hint(hint).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_names_are_told_from_local_ones() {
        #[track_caller]
        fn check(url: &str, local: Option<&str>) {
            let expected = match local {
                Some(hostname) => Address::Local {
                    url: url.to_owned(),
                    hostname: hostname.to_owned(),
                },
                None => Address::Public(url.to_owned()),
            };
            assert_eq!(Address::of(url), expected);
        }
        check("http://errors.local:3002", Some("errors.local"));
        check("http://localhost:3002", Some("localhost"));
        check("http://[::1]:3002", Some("::1"));
        check("http://[::1]", Some("::1"));
        check("http://192.0.2.7:3002", Some("192.0.2.7"));
        check("http://nas/errors", Some("nas"));
        check("http://errors.example.com", None);
        check("https://errors.example.com:8443", None);
        check("https://errors.local", None);
    }

    #[test]
    fn umami_url_is_optional_and_checked() {
        #[track_caller]
        fn check(text: &str, expected: Result<Option<&str>, ()>) {
            let parsed = parse_umami_url(text).map_err(|_| ());
            assert_eq!(
                parsed.as_ref().map(Option::as_deref),
                expected.as_ref().copied()
            );
        }
        check("", Ok(None));
        check(" ", Ok(None));
        let url = "https://analytics.example.com";
        check(url, Ok(Some(url)));
        check("https://analytics.example.com/", Ok(Some(url)));
        check(
            "http://10.0.0.7:8080/umami",
            Ok(Some("http://10.0.0.7:8080/umami")),
        );
        check("analytics.example.com", Err(()));
        check("https://", Err(()));
        check("https://me:secret@analytics.example.com", Err(()));
    }

    #[test]
    fn curl_errors_are_explained() {
        #[track_caller]
        fn check(error: &str, what: &str, hint: &str) {
            let problem = Problem::of(&explain("https://a.example.com", error));
            assert_eq!(problem.what, what);
            assert!(problem.hint.unwrap_or_default().contains(hint));
        }
        check(
            "a container ended with exit status: 6: curl: (6) Could not resolve host: a.example.com",
            "nothing answers at https://a.example.com: Could not resolve host: a.example.com",
            "DNS zone",
        );
        check(
            "curl: (60) SSL certificate problem: self-signed certificate\n",
            "nothing answers at https://a.example.com: SSL certificate problem: self-signed certificate",
            "certificate",
        );
        check(
            "no such container",
            "https://a.example.com cannot be asked from Umami's container: no such container",
            "",
        );
    }
}
