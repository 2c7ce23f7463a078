//! The ways in which a node goes away, and comes back.

use std::fmt;
use std::thread;
use std::time::Duration;

use crate::rig::Rig;

/// How long a short one lasts, in seconds.
const SHORT: std::ops::Range<u64> = 10..31;
/// For how long it stays away after the failover, where it is away for long.
const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    Power,
    Hangs,
    /// Shuts down in order, and starts again.
    Reboot,
    Cut(Way, Length),
}

/// In which direction nothing comes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Both,
    Out,
    In,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    Short,
    Long,
}

/// All of them; an odd number, so that each comes with and without something that every second round has.
pub const DEATHS: [Death; 9] = [
    Death::Power,
    Death::Hangs,
    Death::Cut(Way::Both, Length::Long),
    Death::Cut(Way::Both, Length::Short),
    Death::Reboot,
    Death::Cut(Way::Out, Length::Long),
    Death::Cut(Way::In, Length::Short),
    Death::Cut(Way::Out, Length::Short),
    Death::Cut(Way::In, Length::Long),
];

impl Death {
    /// Happens to a node; one that ends by itself is over when this returns.
    pub fn happen(self, rig: &Rig, node: &str) {
        match self {
            Death::Power => rig.run(&["kill", node]),
            Death::Hangs => rig.run(&["hang", node]),
            Death::Reboot => rig.run(&["reboot", node]),
            Death::Cut(way, Length::Long) => rig.run(&way.cut(node)),
            Death::Cut(way, Length::Short) => {
                rig.run(&way.cut(node));
                let seconds = rand::random_range(SHORT);
                thread::sleep(Duration::from_secs(seconds));
                rig.run(&["join", node])
            }
        };
    }

    /// Ends what has not ended by itself, when others have taken over.
    pub fn end(self, rig: &Rig, node: &str) {
        match self {
            Death::Power => rig.run(&["reboot", node]),
            Death::Hangs => rig.run(&["resume", node]),
            Death::Cut(_, Length::Long) => {
                thread::sleep(LONG);
                rig.run(&["join", node])
            }
            Death::Reboot | Death::Cut(_, Length::Short) => return,
        };
    }

    pub fn ends_by_itself(self) -> bool {
        matches!(self, Death::Reboot | Death::Cut(_, Length::Short))
    }
}

impl Way {
    fn cut(self, node: &str) -> Vec<&str> {
        match self {
            Way::Both => vec!["cut", node],
            Way::Out => vec!["cut", node, "out"],
            Way::In => vec!["cut", node, "in"],
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let (way, length) = match self {
            Death::Power => return formatter.write_str("loses power"),
            Death::Hangs => return formatter.write_str("hangs"),
            Death::Reboot => return formatter.write_str("reboots"),
            Death::Cut(way, length) => (way, length),
        };
        let way = match way {
            Way::Both => "cut off",
            Way::Out => "nothing goes out",
            Way::In => "nothing comes in",
        };
        let length = match length {
            Length::Short => "10 to 30 s",
            Length::Long => "for long",
        };
        write!(formatter, "{way}, {length}")
    }
}
