//! A rotation of the databases' passwords that is under way: noted in the swarm, so that the next deployment closes
//! the old logins when a killed one has not.

use super::Swarm;
use super::objects::{Kind, New};

impl Swarm {
    /// Notes that logins will be open that nobody uses. A note that is there stays.
    ///
    /// # Errors
    /// When the swarm refuses it.
    pub fn begin_rotation(&self) -> anyhow::Result<()> {
        let note = New {
            kind: Kind::Config,
            name: &self.rotation_name(),
            labels: &[],
            content: "logins of the databases are open that nobody uses; the next deployment closes them\n",
        };
        self.create(&note).map(drop)
    }

    /// Whether such logins are open.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn is_rotating(&self) -> anyhow::Result<bool> {
        Ok(self.names(Kind::Config)?.contains(&self.rotation_name()))
    }

    /// Takes the note away: they are closed.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn end_rotation(&self) -> anyhow::Result<()> {
        self.remove(Kind::Config, &[self.rotation_name()].into())
            .map(drop)
    }

    pub(super) fn rotation_name(&self) -> String {
        format!("{}_rotation", self.name)
    }
}
