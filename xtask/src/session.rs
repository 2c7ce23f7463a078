//! The right to change this checkout's stack, and what it takes. Must never resume anything.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::system::lock::Lock;

/// Held by a command that changes the stack, from its beginning to its end.
pub struct Session<'a> {
    pub checkout: &'a Checkout,
    pub docker: Docker,
    /// How long the stack may take to become healthy.
    pub timeout: Duration,
    pub lock: Lock,
}

impl<'a> Session<'a> {
    /// # Errors
    /// When `.env` cannot be parsed.
    pub fn new(
        checkout: &'a Checkout,
        lock: Lock,
        timeout: Duration,
    ) -> anyhow::Result<Session<'a>> {
        Ok(Session {
            checkout,
            docker: Docker::new(checkout)?,
            timeout,
            lock,
        })
    }

    /// Takes note of an `.env` that was changed: whoever speaks to docker must know the new secrets to
    /// keep them to itself.
    ///
    /// # Errors
    /// When `.env` cannot be parsed.
    pub fn reread_env_file(&mut self) -> anyhow::Result<()> {
        self.docker = Docker::new(self.checkout)?;
        Ok(())
    }
}
