//! How a machine is, as look.sh and reach.sh say it. [pure]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// A machine of the swarm.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Bytes that are free where images or volumes are, whichever is less.
    pub free: u64,
    /// Ports on which something listens.
    pub listens: BTreeSet<u16>,
    routes: Vec<Route>,
    /// By network card.
    mtus: BTreeMap<String, u32>,
}

#[derive(Debug, PartialEq, Eq)]
struct Route {
    card: String,
    destination: u32,
    mask: u32,
}

impl Machine {
    /// Reads what look.sh prints; `None` unless it came to its end.
    pub fn parse(text: &str) -> Option<Machine> {
        let mut machine = Machine {
            free: u64::MAX,
            ..Machine::default()
        };
        let mut is_whole = false;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next()?, words.next(), words.next(), words.next()) {
                ("free", Some(bytes), None, None) => {
                    machine.free = machine.free.min(bytes.parse().ok()?);
                }
                ("route", Some(card), Some(destination), Some(mask)) => {
                    machine.routes.push(Route {
                        card: card.to_owned(),
                        destination: parse_address(destination)?,
                        mask: parse_address(mask)?,
                    });
                }
                ("mtu", Some(card), Some(bytes), None) => {
                    machine.mtus.insert(card.to_owned(), bytes.parse().ok()?);
                }
                ("listens", Some(port), None, None) => {
                    machine.listens.insert(u16::from_str_radix(port, 16).ok()?);
                }
                ("seen", None, None, None) => is_whole = true,
                _ => return None,
            }
        }
        is_whole.then_some(machine)
    }

    /// The card that an address is reached by, and its MTU; `None` where it does not say.
    pub fn card_to(&self, address: IpAddr) -> Option<(&str, u32)> {
        let IpAddr::V4(address) = address else {
            return None;
        };
        let address = u32::from(address);
        let leads_there = |route: &&Route| address & route.mask == route.destination;
        let routes = self.routes.iter().filter(leads_there);
        let route = routes.max_by_key(|route| route.mask.count_ones())?;
        Some((&route.card, *self.mtus.get(&route.card)?))
    }
}

/// The kernel writes the bytes of an address as one number of its own order.
fn parse_address(text: &str) -> Option<u32> {
    let number = u32::from_str_radix(text, 16).ok()?;
    Some(u32::from(Ipv4Addr::from(number.to_le_bytes())))
}

/// What is reached from a machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Reached {
    /// The addresses of each name that resolves there.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// Why the bucket does not work.
    pub bucket: Result<(), String>,
}

impl Reached {
    /// Reads what reach.sh prints, and what it says on stderr.
    pub fn parse(text: &str, said: &str) -> Reached {
        let mut reached = Reached {
            names: BTreeMap::new(),
            bucket: Err(said.trim().to_owned()),
        };
        for line in text.lines() {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("name"), Some(name), Some(address)) => {
                    let addresses = reached.names.entry(name.to_owned()).or_default();
                    addresses.extend(address.parse::<IpAddr>());
                }
                (Some("bucket"), None, None) => reached.bucket = Ok(()),
                _ => {}
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str = "free 9000\nfree 7000\nroute eth0 00000000 00000000\nroute eth0 0003D50A 00FFFFFF\n\
                        route wg0 0000080A 0000FFFF\nmtu eth0 1500\nmtu wg0 1420\nmtu lo 65536\nlistens 0050\n\
                        listens 01BB\nseen\n";

    #[test]
    fn a_machine_says_what_is_free_who_listens_and_which_card_leads_where() {
        let machine = Machine::parse(SEEN).unwrap();
        assert_eq!(machine.free, 7000);
        assert_eq!(machine.listens, BTreeSet::from([80, 443]));
        let card = |address: &str| machine.card_to(address.parse().unwrap());
        assert_eq!(card("10.213.3.11"), Some(("eth0", 1500)));
        assert_eq!(card("10.8.0.2"), Some(("wg0", 1420)));
        assert_eq!(card("192.0.2.1"), Some(("eth0", 1500)));
        assert_eq!(card("fd00::1"), None);
    }

    #[test]
    fn what_was_cut_off_is_nothing() {
        assert_eq!(Machine::parse("free 9000\n"), None);
        assert_eq!(Machine::parse(""), None);
    }

    #[test]
    fn names_and_bucket_are_told_apart() {
        let text = "name a.example.com 192.0.2.1\nname a.example.com 2001:db8::1\nbucket\n";
        let reached = Reached::parse(text, "");
        assert_eq!(reached.names["a.example.com"].len(), 2);
        assert_eq!(reached.bucket, Ok(()));
        let refused = Reached::parse("", "ERROR: [039]: HTTP request failed\n");
        assert_eq!(
            refused.bucket,
            Err("ERROR: [039]: HTTP request failed".to_owned())
        );
        assert!(refused.names.is_empty());
    }
}
