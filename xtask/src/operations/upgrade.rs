//! Newer images as one operation: what does not work is rolled back, with the data if the new version has
//! changed it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::journal::{self, Record};
use super::{prove, restore, start};
use crate::backup::create::{self, Verification, Wanted};
use crate::backup::file;
use crate::backup::replace::{self, Way};
use crate::backup::stores::Stores;
use crate::problem::Problem;
use crate::session::Session;
use crate::stack;
use crate::terminal::{self, say};

/// Image ids, by the name under which the compose file asks for them.
pub type Images = BTreeMap<String, String>;

/// An upgrade under way: all that is needed to go on or back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    pub old: Images,
    pub new: Images,
    /// What was there before.
    pub backup: PathBuf,
    /// A checksum of the databases' schemas, as they were.
    pub schema: String,
    #[serde(default)]
    pub phase: Phase,
}

/// How far an upgrade is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Newer images are being pulled: names may mean them already, and nothing else has changed.
    Pulling,
    /// The new images are being taken into use.
    #[default]
    Starting,
    /// They do not work; the old ones are coming back, with the data from before where it was changed.
    RollingBack,
}

/// Notes what the names mean before newer images are pulled: a pull moves them, and a start must not take
/// the new images into use before the data is saved. [`discard`] ends it, and so does [`run`].
///
/// # Errors
/// When it cannot be written down.
pub fn begin_pull(session: &Session, old: &Images) -> anyhow::Result<()> {
    let upgrade = Upgrade {
        old: old.clone(),
        new: Images::new(),
        backup: PathBuf::new(),
        schema: String::new(),
        phase: Phase::Pulling,
    };
    journal::begin(session.checkout, &Record::Upgrade(upgrade))
}

/// Lets the names mean what they meant before the pull.
///
/// # Errors
/// When the engine has lost an image.
pub fn discard(session: &Session, old: &Images) -> anyhow::Result<()> {
    tag(session, old)?;
    journal::end(session.checkout)
}

/// Takes the new images into use, after saving the data.
///
/// # Errors
/// When they do not work; the old ones run again then, with the data from before.
pub fn run(session: &Session, old: Images, new: Images) -> anyhow::Result<()> {
    let config = stack::read_config(&session.docker)?;
    let stores = Stores::find(session, &config)?;
    if !stores.exist()? {
        tag(session, &new)?;
        journal::end(session.checkout)?;
        return start::everything(session);
    }

    let (backup, schema) = match save(session, &stores) {
        Ok(saved) => saved,
        Err(error) => {
            discard(session, &old)?;
            return Err(error.context("nothing was changed, since the backup before it failed"));
        }
    };
    let upgrade = Upgrade {
        old,
        new,
        backup,
        schema,
        phase: Phase::Starting,
    };
    journal::begin(session.checkout, &Record::Upgrade(upgrade.clone()))?;
    let taken = take(session, &upgrade)?;
    journal::end(session.checkout)?;
    match taken {
        Taken::InUse => Ok(()),
        Taken::RolledBack(error) => Err(error.context(
            "the upgrade was rolled back; the previous version runs with its data. \
             Why the new one does not work is said above",
        )),
    }
}

/// Saves the data as it is, and what its schema is.
fn save(session: &Session, stores: &Stores) -> anyhow::Result<(PathBuf, String)> {
    stores.ensure_running()?;
    let schema = stores.schema()?;
    let folder = session.checkout.backups();
    let backup = create::create(session, stores, &Wanted::new(&folder))?.path;
    stores.check_interrupt()?;
    say!(
        "saved the present data in {}",
        session.checkout.display(&backup)
    );
    Ok((backup, schema))
}

/// Brings an upgrade that was killed to its end: forwards, and back if that does not work.
///
/// # Errors
/// When neither works.
pub fn resume(session: &Session, upgrade: &Upgrade) -> anyhow::Result<()> {
    say!("resuming an interrupted upgrade");
    let taken = match upgrade.phase {
        Phase::Pulling => {
            say!("nothing had been changed; `cargo xtask upgrade` starts again");
            return discard(session, &upgrade.old);
        }
        Phase::Starting => take(session, upgrade)?,
        Phase::RollingBack => {
            restore::settle(session)?;
            let error = anyhow::anyhow!("the newer images did not work");
            roll_back(session, upgrade, error)?
        }
    };
    match taken {
        Taken::InUse => say!("finished the interrupted upgrade: the newer images are in use"),
        Taken::RolledBack(error) => {
            let what = "the interrupted upgrade does not work and was rolled back";
            terminal::say_warning(&Problem::of(&error.context(what)));
        }
    }
    Ok(())
}

/// What changes between two sets of images, as it was and as it will be; a name that was not there before
/// changes nothing.
pub fn changes(mut old: Images, mut new: Images) -> (Images, Images) {
    new.retain(|name, id| old.get(name).is_some_and(|before| before != id));
    old.retain(|name, _| new.contains_key(name));
    (old, new)
}

/// Makes names mean images.
///
/// # Errors
/// When the engine has lost one of them.
pub fn tag(session: &Session, images: &Images) -> anyhow::Result<()> {
    // A name with a digest always means the same image.
    for (name, id) in images.iter().filter(|(name, _)| !name.contains('@')) {
        session
            .docker
            .tag(id, name)
            .context("switching from one image to another")?;
    }
    Ok(())
}

enum Taken {
    InUse,
    /// Why the new images do not work.
    RolledBack(anyhow::Error),
}

/// Starts the new images, or else the old ones again.
fn take(session: &Session, upgrade: &Upgrade) -> anyhow::Result<Taken> {
    tag(session, &upgrade.new)?;
    let works = start::everything(session).and_then(|()| prove::events_arrive(session));
    let Err(error) = works else {
        return Ok(Taken::InUse);
    };

    say!("rolling back: the newer images do not work");
    roll_back(session, upgrade, error)
}

fn roll_back(session: &Session, upgrade: &Upgrade, why: anyhow::Error) -> anyhow::Result<Taken> {
    let kept = format!(
        "the data from before the upgrade is in {}",
        session.checkout.display(&upgrade.backup)
    );
    let rolling_back = Upgrade {
        phase: Phase::RollingBack,
        ..upgrade.clone()
    };
    journal::begin(session.checkout, &Record::Upgrade(rolling_back))?;
    start_old(session, upgrade).context(kept)?;
    Ok(Taken::RolledBack(why))
}

fn start_old(session: &Session, upgrade: &Upgrade) -> anyhow::Result<()> {
    tag(session, &upgrade.old)?;
    let config = stack::read_config(&session.docker)?;
    let stores = Stores::find(session, &config)?;
    stores.stop_applications()?;
    stores.ensure_running()?;
    if stores.schema()? != upgrade.schema {
        restore_data(session, &stores, upgrade)?;
    }
    start::everything(session)
}

fn restore_data(session: &Session, stores: &Stores, upgrade: &Upgrade) -> anyhow::Result<()> {
    say!("restoring the data from before: the new version has changed the databases");
    let folder = session.checkout.backups();
    let wanted = Wanted {
        verification: Verification::Skip,
        ..Wanted::new(&folder)
    };
    match create::create(session, stores, &wanted) {
        Ok(created) => {
            say!(
                "saved the data as the new version has changed it in {}",
                session.checkout.display(&created.path)
            );
        }
        Err(error) => terminal::say_warning(&Problem::of(
            &error.context("the data as the new version has changed it could not be saved"),
        )),
    }
    let (mut archive, manifest) = file::open_checked(&upgrade.backup)?;
    replace::replace(stores, &mut archive, &manifest, Way::Databases)
}
