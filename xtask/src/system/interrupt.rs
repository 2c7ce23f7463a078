//! Ctrl-C, as a state that can be asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// Whether Ctrl-C was pressed since [`Interrupt::catch`].
#[derive(Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C does not end this process; children in the foreground get it as before.
    ///
    /// # Errors
    /// When the system does not let us register for it.
    pub fn catch() -> anyhow::Result<Interrupt> {
        let pressed = Arc::new(AtomicBool::new(false));
        flag::register(SIGINT, Arc::clone(&pressed)).context("preparing for Ctrl-C")?;
        Ok(Interrupt(pressed))
    }

    pub fn is_pressed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
