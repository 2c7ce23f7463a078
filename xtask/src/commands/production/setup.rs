//! `production setup`: completes deploy/production/.env, with secrets and with answers.

use crate::checkout::Checkout;
use crate::commands::Outcome;
use crate::operations::env_file::{self, EnvFile};
use crate::swarm::Swarm;
use crate::swarm::settings;
use crate::system::lock::Lock;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let checkout = checkout.production();
    let _lock = Lock::acquire(&checkout.lock_file())?;
    let made = env_file::ensure(&checkout)?;

    let mut swarm = Swarm::of(&checkout)?;
    let open = settings::unanswered(swarm.docker.values());
    let mut answered = 0;
    if terminal::is_interactive() {
        for question in &open {
            let answer = terminal::ask_text(question.question, question.example)?;
            if let Some(answer) = answer {
                env_file::set(&checkout, question.key, &answer)?;
                answered += 1;
            }
        }
        swarm = Swarm::of(&checkout)?;
    }

    let name = checkout.display(&checkout.env_file());
    if let Err(problem) = settings::check_complete(swarm.docker.values()) {
        terminal::say_warning(&problem);
        return Ok(Outcome::NotDone);
    }
    if made == EnvFile::Unchanged && answered == 0 {
        say!("already complete: {name}");
    }
    say!(
        "keep a copy of {name} elsewhere: without BACKUP_CIPHER_PASSWORD the backups are worthless"
    );
    say!("make these DNS records:");
    terminal::print(&swarm.dns_records())?;
    say!("next: `cargo xtask production deploy`");
    Ok(Outcome::Done)
}
