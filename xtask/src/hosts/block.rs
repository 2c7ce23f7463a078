//! Our block in a hosts file: its markers and what stands between them.
//!
//! Must never write a line that maps a name to another machine.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt::Write;

use crate::hosts::hostname::Hostname;

/// Where the stack listens, and the twin without which macOS waits 5 s on `.local` names.
pub const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Stands in every marker, in lower case.
pub const MARKER_CORE: &str = "cargo xtask hosts";
pub const BEGIN: &str = "# >>> cargo xtask hosts >>>";
/// Begins a block whose first line ending ends the user's last line: removing takes it out again.
pub const BEGIN_AFTER_OPEN_LINE: &str =
    "# >>> cargo xtask hosts (the line above had no line ending) >>>";
pub const END: &str = "# <<< cargo xtask hosts <<<";

/// The lines between the markers.
pub fn render_lines(names: &[Hostname], line_ending: &str) -> String {
    let names: Vec<&str> = names.iter().map(Hostname::as_str).collect();
    ADDRESSES
        .map(|address| format!("{address} {}{line_ending}", names.join(" ")))
        .concat()
}

/// The whole block, for those who edit by hand.
pub fn render(names: &[Hostname]) -> String {
    format!("{BEGIN}\n{}{END}\n", render_lines(names, "\n"))
}

/// The same for NixOS, where the hosts file is made from the system's configuration.
pub fn render_nixos(names: &[Hostname]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let mut text = "networking.hosts = {\n".to_owned();
    for address in ADDRESSES {
        let _ = writeln!(text, "  \"{address}\" = [ {} ];", quoted.join(" "));
    }
    text + "};\n"
}

/// Whether these addresses of a name lead to the stack and nowhere else. The ports are published on
/// 127.0.0.1, so `::1` alone does not do.
pub fn is_this_machine(addresses: &[IpAddr]) -> bool {
    addresses.contains(&ADDRESSES[0]) && addresses.iter().all(|address| ADDRESSES.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_snippet_for_nixos() {
        let names = ["analytics.local", "errors.local"].map(|name| Hostname::parse(name).unwrap());
        let expected = "networking.hosts = {\n  \"127.0.0.1\" = [ \"analytics.local\" \"errors.local\" ];\n  \
                        \"::1\" = [ \"analytics.local\" \"errors.local\" ];\n};\n";
        assert_eq!(render_nixos(&names), expected);
    }

    #[test]
    fn only_the_loopback_addresses_are_this_machine_and_the_first_is_needed() {
        let is_this_machine = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            is_this_machine(&addresses.collect::<Vec<IpAddr>>())
        };
        assert!(is_this_machine(&["127.0.0.1"]));
        assert!(is_this_machine(&["127.0.0.1", "::1"]));
        assert!(!is_this_machine(&["::1"]));
        assert!(!is_this_machine(&[]));
        assert!(!is_this_machine(&["127.0.0.1", "10.0.0.1"]));
    }
}
