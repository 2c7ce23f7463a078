//! `production nodes add`: lets a machine into the swarm, or says how to by hand. The token that opens the swarm is
//! shown nowhere.

use crate::checkout::Checkout;
use crate::cli::nodes;
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::docker::endpoint::Target;
use crate::operations::production::nodes::add::{Addition, Place, by_hand, warning};
use crate::swarm::Swarm;
use crate::swarm::nodes::Role;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &nodes::Add) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let nodes = swarm.nodes()?;
    let Some(engine) = &options.engine else {
        terminal::print(&by_hand(&swarm, &nodes))?;
        say!("`cargo xtask production nodes add ssh://USER@MACHINE` does the same");
        return Ok(Outcome::Done);
    };

    let addition = Addition {
        engine: Docker::new(&swarm.checkout)?.at(Target::parse(engine)),
        role: match options.role {
            nodes::Role::Worker => Role::Worker,
            nodes::Role::Manager => Role::Manager,
        },
        labels: options.labels.iter().cloned().collect(),
        address: options.address.clone(),
    };
    let place = addition.look(&nodes)?;
    if options.dry_run {
        terminal::print(&addition.render(&place))?;
        return Ok(Outcome::Done);
    }
    let _lock = swarm.lock("nodes add")?;
    let name = addition.carry_out(&swarm, &place)?;

    match place {
        Place::Outside => say!("added: {name} is a node of the swarm"),
        Place::Inside(_) => say!("already a node of the swarm: {name}, which has its labels"),
    }
    if let Some(warning) = warning(&swarm.nodes()?) {
        terminal::say_warning(&warning);
    }
    say!("next: `cargo xtask production doctor`, and `cargo xtask production nodes rebalance`");
    Ok(Outcome::Done)
}
