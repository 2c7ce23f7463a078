//! Hostnames: what may stand in a hosts file, and which of them belong in one.
//!
//! Must never accept what a resolver or a browser would read as an address.

use core::net::IpAddr;
use std::fmt;

use crate::problem::Problem;

/// A name that can stand in a hosts file, in lower case: labels of letters, digits and hyphens, no address.
#[derive(Clone, Debug, PartialEq)]
pub struct Hostname(String);

/// Domains that no public DNS server answers for, so that a name in one of them is meant for one machine
/// or one network: RFC 6761 (localhost, test), RFC 6762 (local, and those of its appendix G), RFC 8375
/// (home.arpa), and internal, which ICANN reserved in 2024. `localdomain` is Red Hat's old default.
const LOCAL_DOMAINS: [&str; 11] = [
    "local",
    "localhost",
    "localdomain",
    "test",
    "internal",
    "home.arpa",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
];

impl Hostname {
    /// # Errors
    /// With the reason, when `text` is no hostname by RFC 1123 or would be read as an address.
    pub fn parse(text: &str) -> Result<Hostname, &'static str> {
        let text = text.to_ascii_lowercase();
        if is_address(&text) {
            return Err("it is an address, and a hosts file maps names");
        }
        if text.len() > 253 {
            return Err("it is longer than 253 bytes");
        }
        if !text.split('.').all(is_label) {
            return Err(
                "it must consist of labels joined by single dots, each of at most 63 letters, digits and \
                 inner hyphens",
            );
        }
        if text.rsplit('.').next().is_some_and(is_number) {
            return Err("its last label is a number, so browsers would read it as an address");
        }
        Ok(Hostname(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is meant for this machine or network alone, so that the hosts file is its place: a
    /// single label, or a name in a domain that public DNS never has. Any other name is public, and
    /// whoever set it up has a DNS record for it.
    pub fn is_local(&self) -> bool {
        let is_in = |domain: &str| {
            let parent = self.0.strip_suffix(domain);
            parent.is_some_and(|parent| parent.is_empty() || parent.ends_with('.'))
        };
        !self.0.contains('.') || LOCAL_DOMAINS.into_iter().any(is_in)
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(is_inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Browsers read a last label of digits, or 0x…, as an IPv4 address: `127.1`, `0x7f.1`.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// The hostnames that `UMAMI_HOSTNAME` and `GLITCHTIP_DOMAIN` set, each once. An address needs no name, and is
/// left out.
///
/// # Errors
/// When one of them holds neither a hostname nor an address.
pub fn from_settings(
    umami_hostname: &str,
    glitchtip_domain: &str,
) -> Result<Vec<Hostname>, InvalidSetting> {
    let umami = parse_setting("UMAMI_HOSTNAME", umami_hostname)?;
    let glitchtip = parse_setting("GLITCHTIP_DOMAIN", host_of(glitchtip_domain))?;
    let mut names: Vec<Hostname> = umami.into_iter().chain(glitchtip).collect();
    names.dedup();
    Ok(names)
}

fn parse_setting(variable: &'static str, text: &str) -> Result<Option<Hostname>, InvalidSetting> {
    if is_address(text) {
        return Ok(None);
    }
    let name = Hostname::parse(text).map_err(|reason| InvalidSetting {
        variable,
        problem: Problem::new(format!("{variable}: {text:?} is not a hostname: {reason}"))
            .hint(format!("set {variable} in `.env` to another name")),
    });
    name.map(Some)
}

fn is_address(text: &str) -> bool {
    text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// A variable of the env file that holds no hostname.
#[derive(Debug)]
pub struct InvalidSetting {
    pub variable: &'static str,
    pub problem: Problem,
}

/// `http://errors.local:3002/path` has the host `errors.local`.
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.split_once(':').map_or(host, |(host, _)| host)
}

/// `a`, `a and b`, `a, b and c`, for a sentence.
pub fn join(names: &[Hostname]) -> String {
    let names: Vec<&str> = names.iter().map(Hostname::as_str).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_local_if_public_dns_cannot_have_it() {
        for (name, is_local) in [
            ("analytics.local", true),
            ("Errors.LOCAL", true),
            ("a.b.c.local", true),
            ("local", true),
            ("localhost", true),
            ("stats.localhost", true),
            ("host.localdomain", true),
            ("stats.test", true),
            ("stats.internal", true),
            ("host.docker.internal", true),
            ("stats.home.arpa", true),
            ("stats.lan", true),
            ("stats.corp", true),
            ("nas", true),
            ("xn--caf-dma", true),
            ("stats.example.com", false),
            ("analytics.local.example.com", false),
            ("stats.mylocal", false),
            ("stats.notinternal", false),
            ("arpa.stats.arpa", false),
            ("home.arpa.net", false),
            ("errors.company", false),
            ("example.dev", false),
        ] {
            let hostname = Hostname::parse(name).unwrap();
            assert_eq!(hostname.is_local(), is_local, "{name}");
        }
    }

    #[track_caller]
    fn reads(umami_hostname: &str, glitchtip_domain: &str, expected: &[&str]) {
        let names = from_settings(umami_hostname, glitchtip_domain).unwrap();
        let names: Vec<&str> = names.iter().map(Hostname::as_str).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn reads_the_hostnames_of_the_env_file() {
        reads(
            "analytics.local",
            "http://errors.local:3002",
            &["analytics.local", "errors.local"],
        );
        reads(
            "analytics.local",
            "https://errors.local",
            &["analytics.local", "errors.local"],
        );
        reads(
            "a",
            "http://user:pass@errors.local:3002/path?x#y",
            &["a", "errors.local"],
        );
        reads("a", "errors.local:3002", &["a", "errors.local"]);
        reads("same.local", "http://SAME.local:3002", &["same.local"]);
        reads("localhost", "http://localhost:3002", &["localhost"]);
        reads(
            "xn--caf-dma.local",
            "http://3com.local",
            &["xn--caf-dma.local", "3com.local"],
        );
        reads(
            "analytics.local",
            "http://192.0.2.7:3002",
            &["analytics.local"],
        );
        reads("127.0.0.1", "http://[::1]:3002", &[]);
        let longest = ["a"; 127].join(".");
        reads(&longest, "http://b", &[&longest, "b"]);
    }

    #[track_caller]
    fn is_no_hostname(umami_hostname: &str, glitchtip_domain: &str, variable: &str) {
        let error =
            from_settings(umami_hostname, glitchtip_domain).expect_err("taken for hostnames");
        assert_eq!(error.variable, variable);
        let what = error.problem.what;
        assert!(what.starts_with(variable) && !what.contains('\n'), "{what}");
    }

    #[test]
    fn refuses_what_is_no_hostname() {
        let no_hostnames = [
            "",
            " ",
            "a b",
            "a\nb",
            "a\n127.0.0.1 evil",
            "a\tb",
            "a\0b",
            "*.local",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "a_b",
            "a#b",
            "a/b",
            "caf\u{e9}.local",
            "127.1",
            "0x7f.1",
            "a.0x10",
            "2130706433",
            "fe80::1%lo0",
        ];
        for text in no_hostnames {
            is_no_hostname(text, "http://errors.local:3002", "UMAMI_HOSTNAME");
        }
        is_no_hostname(&"a".repeat(64), "http://b", "UMAMI_HOSTNAME");
        is_no_hostname(&["a"; 128].join("."), "http://b", "UMAMI_HOSTNAME");
        for url in [
            "",
            "http://",
            "http://*.local",
            "http://a b:3002",
            "http://:3002",
        ] {
            is_no_hostname("analytics.local", url, "GLITCHTIP_DOMAIN");
        }
    }

    #[test]
    fn joins_names_for_a_sentence() {
        let names = |names: &[&str]| {
            let names = names.iter().map(|name| Hostname::parse(name).unwrap());
            join(&names.collect::<Vec<_>>())
        };
        assert_eq!(names(&["a"]), "a");
        assert_eq!(names(&["a", "b"]), "a and b");
        assert_eq!(names(&["a", "b", "c"]), "a, b and c");
    }
}
