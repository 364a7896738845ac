//! A progress bar on standard error, where somebody looks at a terminal.

use std::future::Future;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often it moves.
const INTERVAL: Duration = Duration::from_millis(250);

/// Shows how much of `length` is over while `work` runs, which may take longer. Gone afterwards.
pub(crate) async fn show<T>(what: String, length: Duration, work: impl Future<Output = T>) -> T {
    let bar = ProgressBar::with_draw_target(Some(length.as_millis() as u64), target()).with_message(what);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {elapsed}");
    bar.set_style(style.expect("the template is a valid one"));
    let bar = ClearOnDrop(bar);
    let start = tokio::time::Instant::now();
    let mut moves = tokio::time::interval(INTERVAL);
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            _ = moves.tick() => bar.0.set_position(start.elapsed().min(length).as_millis() as u64),
        }
    }
}

fn target() -> ProgressDrawTarget {
    if is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

/// Whether standard error is a terminal that does more than print; a guest's console says `dumb` when its host's is
/// none.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

struct ClearOnDrop(ProgressBar);

impl Drop for ClearOnDrop {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
