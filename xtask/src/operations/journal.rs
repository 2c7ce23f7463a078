//! The journal: the record of the one operation that is under way, in a private file beside the backups.
//!
//! It is written before the first change and removed when the result was seen to work. There is one file,
//! so two operations cannot be under way at once; an operation that makes another one needless takes its
//! place in one step.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::upgrade::Upgrade;
use crate::backup::replace::Way;
use crate::checkout::Checkout;
use crate::problem::Problem;
use crate::system::files;

/// What is under way, and all that it takes to bring it to an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "lowercase")]
pub enum Record {
    /// A backup is being put in the place of the data; with its name.
    Restore {
        backup: String,
        #[serde(default)]
        way: Way,
    },
    /// New secrets are being taken into use; with the whole `.env` from before.
    Rotate { before: String },
    /// Newer images are being taken into use.
    Upgrade(Upgrade),
}

impl Record {
    /// What the user calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Record::Restore { .. } => "restore",
            Record::Rotate { .. } => "rotation of secrets",
            Record::Upgrade(_) => "upgrade",
        }
    }
}

/// Where the record stands.
pub fn path(checkout: &Checkout) -> PathBuf {
    checkout.backups().join(".unfinished.json")
}

/// What is under way; nothing, most of the time. What earlier versions left is understood: they had a
/// file for each operation, of which a restore that was part of an upgrade comes first.
///
/// # Errors
/// When a record cannot be read.
pub fn read(checkout: &Checkout) -> anyhow::Result<Option<Record>> {
    if let Some(text) = files::read_text(&path(checkout))? {
        return parse(&text, &path(checkout)).map(Some);
    }
    let [restore, rotate, upgrade] = earlier(checkout);
    if let Some(text) = files::read_text(&restore)? {
        return Ok(Some(Record::Restore {
            backup: text.trim().to_owned(),
            way: Way::Databases,
        }));
    }
    if let Some(before) = files::read_text(&rotate)? {
        return Ok(Some(Record::Rotate { before }));
    }
    match files::read_text(&upgrade)? {
        Some(text) => parse::<Upgrade>(&text, &upgrade).map(|it| Some(Record::Upgrade(it))),
        None => Ok(None),
    }
}

fn parse<T: for<'a> Deserialize<'a>>(text: &str, path: &Path) -> anyhow::Result<T> {
    serde_json::from_str(text).with_context(|| {
        Problem::new(format!(
            "{} is not a record of an unfinished operation",
            path.display()
        ))
        .hint("a newer `cargo xtask` may have written it: `git pull`, then repeat the command")
    })
}

/// Notes that an operation begins, in the place of whatever was under way.
///
/// # Errors
/// When it cannot be written; nothing has changed then.
pub fn begin(checkout: &Checkout, record: &Record) -> anyhow::Result<()> {
    files::ensure_private_folder(&checkout.backups())?;
    let text = serde_json::to_string_pretty(record).context("writing down what is under way")?;
    files::replace_private(&path(checkout), &format!("{text}\n"))?;
    // From now on the record above is read first.
    remove(&earlier(checkout))
}

/// Notes that nothing is under way any more.
///
/// # Errors
/// When a record cannot be removed.
pub fn end(checkout: &Checkout) -> anyhow::Result<()> {
    // The newest last: killed here, what it replaced must not come back to life.
    remove(&earlier(checkout))?;
    remove(&[path(checkout)])
}

/// Notes that `record` has come to its end; what an earlier version left of another one stays.
///
/// # Errors
/// When it cannot be removed.
pub fn end_one(checkout: &Checkout, record: &Record) -> anyhow::Result<()> {
    let [restore, rotate, upgrade] = earlier(checkout);
    let own = match record {
        Record::Restore { .. } => restore,
        Record::Rotate { .. } => rotate,
        Record::Upgrade(_) => upgrade,
    };
    remove(&[path(checkout), own])
}

/// The files of versions up to 0.9.0: of a restore, a rotation, an upgrade.
fn earlier(checkout: &Checkout) -> [PathBuf; 3] {
    let backups = checkout.backups();
    [
        backups.join(".restoring"),
        checkout.stack().join(".env.previous"),
        backups.join(".upgrading"),
    ]
}

fn remove(paths: &[PathBuf]) -> anyhow::Result<()> {
    for path in paths.iter().filter(|path| path.exists()) {
        files::remove(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::upgrade::Phase;

    #[track_caller]
    fn check(json: &str, wanted: &Record) {
        let read: Record = parse(json, Path::new("x")).unwrap();
        assert_eq!(&read, wanted);
        let again: Record = parse(&serde_json::to_string(wanted).unwrap(), Path::new("x")).unwrap();
        assert_eq!(&again, wanted);
    }

    #[test]
    fn each_record_is_read_back() {
        let restore = Record::Restore {
            backup: "a.tar".to_owned(),
            way: Way::Databases,
        };
        check(r#"{"operation": "restore", "backup": "a.tar"}"#, &restore);
        let files = Record::Restore {
            backup: "a.tar".to_owned(),
            way: Way::Files,
        };
        let json = r#"{"operation": "restore", "backup": "a.tar", "way": "files"}"#;
        check(json, &files);
        let rotate = Record::Rotate {
            before: "A=1\n".to_owned(),
        };
        check(r#"{"operation": "rotate", "before": "A=1\n"}"#, &rotate);
        let upgrade = Record::Upgrade(Upgrade {
            old: [("umami:3".to_owned(), "sha256:1".to_owned())].into(),
            new: [("umami:3".to_owned(), "sha256:2".to_owned())].into(),
            backup: "/backups/a.tar".into(),
            schema: "0 -".to_owned(),
            phase: Phase::Starting,
        });
        let json = r#"{"operation": "upgrade", "old": {"umami:3": "sha256:1"},
            "new": {"umami:3": "sha256:2"}, "backup": "/backups/a.tar", "schema": "0 -"}"#;
        check(json, &upgrade);
    }

    #[test]
    fn what_begins_takes_the_place_of_whatever_was_unfinished() {
        let folder = tempfile::tempdir().unwrap();
        let stack = folder.path().join("deploy/analytics");
        std::fs::create_dir_all(stack.join("backups")).unwrap();
        std::fs::write(stack.join("docker-compose.yml"), "").unwrap();
        let checkout = Checkout::around(folder.path()).unwrap();
        for name in ["backups/.restoring", "backups/.upgrading", ".env.previous"] {
            std::fs::write(stack.join(name), "{}").unwrap();
        }
        let restore = Record::Restore {
            backup: "a.tar".to_owned(),
            way: Way::Databases,
        };
        begin(&checkout, &restore).unwrap();
        assert_eq!(read(&checkout).unwrap(), Some(restore));
        let rotate = Record::Rotate {
            before: "A=1\n".to_owned(),
        };
        begin(&checkout, &rotate).unwrap();
        assert_eq!(read(&checkout).unwrap(), Some(rotate));
        end(&checkout).unwrap();
        assert_eq!(read(&checkout).unwrap(), None);
        assert_eq!(std::fs::read_dir(stack.join("backups")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_none_of_ours_is_refused_with_a_way_out() {
        let error = parse::<Record>(r#"{"operation": "move"}"#, Path::new("x")).unwrap_err();
        assert!(Problem::of(&error).hint.unwrap().contains("git pull"));
    }
}
