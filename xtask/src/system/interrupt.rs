//! Ctrl-C, as a state that can be asked for.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;
use signal_hook::consts::SIGINT;
use signal_hook::{SigId, flag, low_level};

/// Whether Ctrl-C was pressed since [`Interrupt::catch`]. Without such a value Ctrl-C ends this process.
pub struct Interrupt {
    pressed: Arc<AtomicBool>,
    registration: SigId,
}

/// How many catch it now.
static CATCHERS: AtomicUsize = AtomicUsize::new(0);

/// Whether nobody does: once registered for, a signal never gets its default back by itself.
static ENDS_US: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let ends_us = Arc::new(AtomicBool::new(false));
    // Where that is not possible, Ctrl-C is lost on us after the first catcher.
    let _ = flag::register_conditional_default(SIGINT, Arc::clone(&ends_us));
    ends_us
});

impl Interrupt {
    /// From now on, as long as the value lives, Ctrl-C does not end this process; children in the
    /// foreground get it as before.
    ///
    /// # Errors
    /// When the system does not let us register for it.
    pub fn catch() -> anyhow::Result<Interrupt> {
        let pressed = Arc::new(AtomicBool::new(false));
        let registration =
            flag::register(SIGINT, Arc::clone(&pressed)).context("preparing for Ctrl-C")?;
        CATCHERS.fetch_add(1, Ordering::SeqCst);
        ENDS_US.store(false, Ordering::SeqCst);
        Ok(Interrupt {
            pressed,
            registration,
        })
    }

    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        low_level::unregister(self.registration);
        if CATCHERS.fetch_sub(1, Ordering::SeqCst) == 1 {
            ENDS_US.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn each_catcher_sees_what_was_pressed_while_it_lived() {
        let outer = Interrupt::catch().unwrap();
        let inner = Interrupt::catch().unwrap();
        drop(inner);
        low_level::raise(SIGINT).unwrap();
        assert!(outer.is_pressed());
        assert!(!Interrupt::catch().unwrap().is_pressed());
    }
}
