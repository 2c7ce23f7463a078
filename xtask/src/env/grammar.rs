//! What the values of the env file are made of: ports, sizes, addresses, names, as those take them who get them.
//!
//! Must never know which variable a value belongs to.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Domains that email-validator refuses, and GlitchTip's own pages with it (5.2, read 2026-11-25).
const RESERVED_DOMAINS: [&str; 6] = ["arpa", "invalid", "local", "localhost", "onion", "test"];

/// What a URL says of its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    None,
    Number(u16),
    Invalid,
}

/// `http://host:port/rest`.
pub struct Address<'a> {
    pub is_encrypted: bool,
    pub host: &'a str,
    pub port: Port,
    /// What follows the host and port: a path, or nothing.
    pub rest: &'a str,
}

impl Address<'_> {
    /// Whether host and port are such that a request can be sent there.
    pub fn has_host(&self) -> bool {
        let is_host =
            is_hostname(self.host) || (self.host.starts_with('[') && is_address(self.host));
        is_host && self.port != Port::Invalid
    }

    /// `None` without a scheme of the web.
    pub fn of(url: &str) -> Option<Address<'_>> {
        let (is_encrypted, rest) = match url.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, url.strip_prefix("http://")?),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, port) = split_port(&rest[..end]);
        Some(Address {
            is_encrypted,
            host,
            port,
            rest: &rest[end..],
        })
    }
}

/// What stands before the port of `host:port`, and the port.
pub fn split_port(authority: &str) -> (&str, Port) {
    match authority.rsplit_once(':') {
        // The last colon of an IPv6 address in brackets is none before a port.
        Some((_, port)) if port.ends_with(']') => (authority, Port::None),
        Some((host, port)) => (host, parse_port(port).map_or(Port::Invalid, Port::Number)),
        None => (authority, Port::None),
    }
}

/// A port as an env file writes it: Rust's own parser would take `+3001`.
pub fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&port| is_number && port > 0)
}

/// What django-environ takes a value for; `None` for what it takes for false without being told so.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "on" | "ok" | "y" | "yes" | "1" => Some(true),
        "false" | "off" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Bytes, as Compose takes `512M`, `512 MiB` or `0.5g`.
pub fn parse_memory(text: &str) -> Option<f64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.ends_with(|c: char| c.is_ascii_digit())
        && number.matches('.').count() < 2;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        _ => {
            let power = "kmgtp".find(unit.get(..1)?)? + 1;
            if !matches!(&unit[1..], "" | "b" | "i" | "ib") {
                return None;
            }
            1024_f64.powi(i32::try_from(power).ok()?)
        }
    };
    let number: f64 = number.parse().ok().filter(|_| is_number)?;
    Some(number * factor)
}

/// A project name as Compose accepts it.
pub fn is_project_name(value: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    value.bytes().all(|b| is_plain(b) || b"-_".contains(&b))
        && value.bytes().next().is_some_and(is_plain)
}

/// An address that Compose publishes ports on: IPv6 in brackets, and no name.
pub fn is_address(value: &str) -> bool {
    match value.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => value.parse::<Ipv4Addr>().is_ok(),
    }
}

/// The name of an image as Docker takes it: a registry, a path, a tag and a digest (distribution/reference 0.6,
/// `regexp.go` and `normalize.go`).
pub fn is_image_name(value: &str) -> bool {
    let (rest, digest) = match value.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (value, None),
    };
    let path_begin = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[path_begin..].find(':') {
        Some(colon) => {
            let colon = path_begin + colon;
            (&rest[..colon], Some(&rest[colon + 1..]))
        }
        None => (rest, None),
    };
    let path = match name.split_once('/') {
        Some((registry, path)) if is_registry(registry) => path,
        _ => name,
    };
    path.split('/').all(is_image_component)
        && tag.is_none_or(is_image_tag)
        && digest.is_none_or(is_image_digest)
}

/// Whether the first part of an image's name is a registry with a valid port, and not a part of the path.
fn is_registry(part: &str) -> bool {
    let (host, port) = split_port(part);
    let is_meant =
        part.contains(['.', ':', '[']) || part == "localhost" || part != part.to_lowercase();
    is_meant && port != Port::Invalid && (is_hostname(host) || host.starts_with('['))
}

/// Letters in lower case and digits, between them one of `.`, `_`, `__` or any number of `-`.
fn is_image_component(part: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut separators = part.split(|c: char| c.is_ascii() && is_plain(c as u8));
    let is_separator =
        |it: &str| matches!(it, "" | "." | "_" | "__") || it.bytes().all(|b| b == b'-');
    let ends = [part.bytes().next(), part.bytes().last()];
    ends.iter().all(|end| end.is_some_and(is_plain)) && separators.all(is_separator)
}

fn is_image_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_one = |b: u8| is_word(b) || b".-".contains(&b);
    tag.len() <= 128 && tag.bytes().all(is_one) && tag.bytes().next().is_some_and(is_word)
}

fn is_image_digest(digest: &str) -> bool {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    digest.split_once(':').is_some_and(|(_, hex)| {
        hex.len() >= 32
            && hex.bytes().all(is_hex)
            && (hex.len() == 64 || !digest.starts_with("sha256:"))
    })
}

/// Whether a value means itself within a URL.
pub fn is_url_safe(value: &str) -> bool {
    value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// A UUID in its usual form, with four hyphens, and with a version and variant of RFC 9562.
pub fn is_uuid(value: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = value.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| is_hex(part))
        && parts[2].starts_with(|c| matches!(c, '1'..='8'))
        && parts[3].starts_with(['8', '9', 'a', 'b', 'A', 'B'])
}

/// A host name alone; letters beyond ASCII may stand in it.
pub fn is_hostname(value: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() < 64
            && label
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    value.len() < 254 && value.split('.').all(is_label)
}

/// One address, without a display name, at a domain with a dot.
pub fn is_email_address(value: &str) -> bool {
    let is_clean = |part: &str| !part.is_empty() && !part.contains(['@', ' ', '<', '>', ',']);
    value
        .split_once('@')
        .is_some_and(|(name, domain)| is_clean(name) && is_clean(domain) && domain.contains('.'))
}

/// Whether an address is at a domain, or below one, that no mail can reach.
pub fn has_reserved_domain(value: &str) -> bool {
    let domain = value
        .rsplit('@')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    RESERVED_DOMAINS
        .iter()
        .any(|reserved| domain == *reserved || domain.ends_with(&format!(".{reserved}")))
}

/// A number from 1 to `most`.
pub fn is_count(value: &str, most: u32) -> bool {
    let is_number = value.bytes().all(|b| b.is_ascii_digit());
    is_number
        && value
            .parse()
            .is_ok_and(|count: u32| (1..=most).contains(&count))
}

/// The schemes of django-environ 0.12; those that send need a host.
pub fn is_email_url(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once("://") else {
        return false;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest[..end].rsplit('@').next().unwrap_or_default();
    let (host, port) = split_port(authority);
    match scheme {
        "smtp" | "smtps" | "smtp+tls" | "smtp+ssl" => !host.is_empty() && port != Port::Invalid,
        "consolemail" | "filemail" | "memorymail" | "dummymail" => true,
        _ => false,
    }
}
