//! Randomness from the operating system's generator.

use rand::distr::{Alphanumeric, SampleString};

/// This many random letters and digits.
pub fn letters_and_digits(length: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), length)
}

/// A random UUID (version 4), in lower case with hyphens.
pub fn uuid() -> String {
    let bits = (rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
