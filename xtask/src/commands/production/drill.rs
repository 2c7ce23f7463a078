//! `production drill`: proves that the newest backup can be restored, and measures what a loss would cost.

use crate::checkout::Checkout;
use crate::commands::Outcome;
use crate::swarm::Swarm;
use crate::swarm::operation::Drill;
use crate::terminal;

pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let _lock = swarm.lock("drill")?;
    let release = swarm.newest_release()?;

    let drill: Drill = swarm.operate(&release, "drill", "")?;

    terminal::print(&drill.render())?;
    Ok(Outcome::from(drill.passed))
}
