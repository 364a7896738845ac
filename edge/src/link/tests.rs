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

#[tokio::test(start_paused = true)]
async fn attempts_that_nothing_is_left_to_pay_with_end_and_come_again_when_there_is() {
    let config = LinkConfig {
        grounds: vec!["ws://one.test".parse().unwrap(), "ws://other.test".parse().unwrap()],
        certificates: None,
        own_certificate: None,
        rate_bits_per_second: None,
        auto_rate: false,
        overhead_bytes: None,
        silence_limit: Duration::from_secs(5),
    };
    let mut links = Links::new(config).unwrap();
    let mut tried = |unpaid| {
        links.update_attempts(unpaid);
        links.attempts.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    assert_eq!([tried(false), tried(true), tried(false)], [[true, false], [false, false], [true, false]]);
}
