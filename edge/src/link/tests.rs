//! Attempts beside connections, under virtual time.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_attempt_is_limited_from_when_another_connection_is_in_use() {
    let (last_used, told) = watch::channel(Some(1));
    let attempt = limited(pending::<Result<(), _>>(), told);
    tokio::pin!(attempt);
    timeout(REPLACEMENT_LIMIT * 100, &mut attempt).await.unwrap_err();
    last_used.send_replace(None);
    let since = tokio::time::Instant::now();
    assert!(matches!(attempt.await, Err(ConnectError::Timeout(_))));
    assert_eq!(since.elapsed(), REPLACEMENT_LIMIT);
}
