//! What is published to brokers: of the size that a record has as the ground tells its web clients.

use crate::client::epoch_seconds;

/// A record's message on `/ws`, bytes.
pub(super) const BYTES: usize = 200;

/// Samples one after the other.
#[derive(Debug, Default)]
pub(super) struct Samples(u64);

impl Samples {
    /// Taken just now.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let number = self.0;
        self.0 += 1;
        let head = format!("{{\"n\":{number},\"sent\":{:.6},\"fill\":\"", epoch_seconds());
        let fill = "x".repeat(BYTES.saturating_sub(head.len() + 2));
        format!("{head}{fill}\"}}").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_their_size_and_tell_when_they_were_taken() {
        let mut samples = Samples::default();
        for _ in 0..20 {
            let sample = samples.next();
            assert_eq!(sample.len(), BYTES);
            let read: serde_json::Value = serde_json::from_slice(&sample).unwrap();
            assert!(read["sent"].as_f64().unwrap() > 1e9);
        }
    }
}
