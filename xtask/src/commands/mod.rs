//! One verb a file: from its options to one story. Must never be imported by another command, start a
//! process, parse text or write a file.

pub mod backup;
pub mod ci;
pub mod clean;
pub mod connect;
pub mod doctor;
pub mod down;
pub mod hosts;
pub mod logs;
pub mod production;
pub mod restart;
pub mod restore;
pub mod rotate;
pub mod setup;
pub mod status;
pub mod up;
pub mod upgrade;
pub mod verify;

/// How a command that ran to its end went. `main` turns it into the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The command worked, and what it looked at is not well; it has said so.
    NotDone,
}

impl From<bool> for Outcome {
    /// Done if all is well.
    fn from(well: bool) -> Outcome {
        if well {
            Outcome::Done
        } else {
            Outcome::NotDone
        }
    }
}
