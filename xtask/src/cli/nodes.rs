//! The options of `production nodes`.

use clap::{Args, Subcommand, ValueEnum};

use super::Wait;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Nodes {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Let another machine into the swarm, and give it labels; without ENGINE, print the commands by hand
    Add(Add),
    /// Move everything off a node without a failed request, for work on its machine
    Drain(Change),
    /// Let a node take tasks again
    Activate(Activate),
    /// Give the place of a dead node to another, with labels and role, and remove the dead one
    Replace(Replace),
    /// Spread replicas over the nodes again, one service after the other, without a failed request
    Rebalance(Rebalance),
}

#[derive(Args)]
pub struct Add {
    /// The machine's engine: `ssh://user@host`, or a Docker context
    #[arg(value_name = "ENGINE")]
    pub engine: Option<String>,
    /// Whether it decides with the other managers; their number should be odd
    #[arg(long, value_enum, default_value_t = Role::Worker)]
    pub role: Role,
    /// A label for it, without `analytics.` in front, such as `edge`; may be repeated
    #[arg(long = "label", value_name = "NAME[=VALUE]", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,
    /// The address by which the other nodes reach it, if it has several
    #[arg(long, value_name = "IP")]
    pub address: Option<String>,
    /// Show what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Worker,
    Manager,
}

#[derive(Args)]
pub struct Change {
    /// The node, by its name or id
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Show what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct Activate {
    /// The node, by its name or id
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Show what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct Replace {
    /// The dead node, by its name or id
    #[arg(value_name = "DEAD")]
    pub dead: String,
    /// The node that takes its place: it is in the swarm already, see `nodes add`
    #[arg(value_name = "NEW")]
    pub new: String,
    /// Show what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct Rebalance {
    /// Show what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub wait: Wait,
}

/// `edge`, or `member=2`.
fn parse_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, "true"));
    let name = name.trim_start_matches("analytics.");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || value.is_empty() || !format!("{name}{value}").chars().all(is_plain) {
        return Err("write it as in edge, or as in member=2".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_that_it_is_there_or_what_it_is() {
        let label = |text: &str| parse_label(text).map(|(name, value)| format!("{name}={value}"));
        assert_eq!(label("edge").unwrap(), "edge=true");
        assert_eq!(label("analytics.member=2").unwrap(), "member=2");
        for wrong in ["", "=", "a=", "edge data", "a=b c"] {
            assert!(label(wrong).is_err(), "{wrong}");
        }
    }
}
