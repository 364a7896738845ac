use clap::Parser;

use super::*;

fn load(text: &str, flags: &[&str]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.toml");
    std::fs::write(&path, text).unwrap();
    let flags = ["tern-edge", "--config", path.to_str().unwrap()].into_iter().chain(flags.iter().copied());
    Config::load(&Args::parse_from(flags))
}

const LEAST: &str =
    "vehicle = \"alpha\"\nsources = [\"simulated:\"]\n[link]\nground = \"ws://127.0.0.1:8080/vehicle\"\n";

#[test]
fn the_sample_file_is_the_defaults() {
    let sample = load(include_str!("../../tern-edge.toml"), &[]).unwrap();
    assert_eq!(sample.to_toml(), load(LEAST, &[]).unwrap().to_toml());
}

#[test]
fn flags_go_over_the_file_and_a_printed_configuration_is_one() {
    let flags = ["--vehicle", "beta", "--rate-bits-per-second", "0", "--source", "udpin:0.0.0.0:14550"];
    let config = load(LEAST, &flags).unwrap();
    assert_eq!(config.vehicle.as_str(), "beta");
    assert_eq!(config.link.rate_bits_per_second, None);
    let printed = config.to_toml();
    assert_eq!(load(&printed, &[]).unwrap().to_toml(), printed);
}

#[test]
fn the_rate_may_be_found_out_and_budgets_are_given_in_bytes() {
    let auto = LEAST.to_owned() + "rate_bits_per_second = \"auto\"\n[budget]\nmonth_bytes = 50000000\n";
    for flags in [vec![], vec!["--rate-bits-per-second", "auto"]] {
        let config = load(&auto, &flags).unwrap();
        assert!(config.link.auto_rate && config.link.rate_bits_per_second.is_none());
        assert_eq!((config.budgets.month_bytes, config.budgets.flight_bytes), (Some(50_000_000), None));
        let printed = config.to_toml();
        assert_eq!(load(&printed, &[]).unwrap().to_toml(), printed);
    }
    let flags = ["--rate-bits-per-second", "22000", "--budget-bytes-per-second", "1000"];
    let config = load(&auto, &flags).unwrap();
    assert!(!config.link.auto_rate);
    assert_eq!(config.link.rate_bits_per_second, Some(22_000));
    assert_eq!(config.budgets.bytes_per_second, Some(1000));
    let wrong = |text: &str| load(&(LEAST.to_owned() + text), &[]).unwrap_err().to_string();
    assert!(wrong("rate_bits_per_second = \"fast\"").contains("auto"));
    assert!(wrong("[budget]\nflight_bytes = 5").contains("budget.flight_bytes"));
}

#[test]
fn streams_of_microseconds_are_named_in_the_file_or_by_flags() {
    let file = "microseconds = [\"nmea/RMC\", \"engine room\"]\n".to_owned() + LEAST;
    let named = |flags: &[&str]| Vec::from_iter(load(&file, flags).unwrap().microseconds);
    assert_eq!(named(&[]), ["engine room", "nmea/RMC"]);
    assert_eq!(named(&["--microseconds", "weather"]), ["weather"]);
    let printed = load(&file, &[]).unwrap().to_toml();
    assert_eq!(load(&printed, &[]).unwrap().to_toml(), printed);
    for wrong in ["", "a\\u0007", &"x".repeat(129)] {
        let error = load(&format!("microseconds = [\"{wrong}\"]\n{LEAST}"), &[]).unwrap_err().to_string();
        assert!(error.contains("microseconds") && error.contains("128 bytes"), "{error}");
    }
}

#[test]
fn streams_are_thinned_by_the_file_or_by_flags() {
    let file = "streams = [\"mavlink/*/HEARTBEAT=0.5\", \"engine room=all\", \"*=0\"]\n".to_owned() + LEAST;
    let rules = |flags: &[&str]| Vec::<String>::from(load(&file, flags).unwrap().streams);
    assert_eq!(rules(&[]), ["mavlink/*/HEARTBEAT=0.5", "engine room=all", "*=0"]);
    assert_eq!(rules(&["--streams", "a=1 b=0"]), ["a=1", "b=0"]);
    assert!(Vec::<String>::from(load(LEAST, &[]).unwrap().streams).is_empty());
    let printed = load(&file, &[]).unwrap().to_toml();
    assert_eq!(load(&printed, &[]).unwrap().to_toml(), printed);
    let error = load(&format!("streams = [\"a=1\", \"b=often\"]\n{LEAST}"), &[]).unwrap_err().to_string();
    assert!(
        error.contains("line 1") && error.contains("b=often") && error.contains("0.001 to 1000"),
        "{error}"
    );
    let error = load(LEAST, &["--streams", "a=1 ".repeat(65).trim_end()]).unwrap_err().to_string();
    assert!(error.contains("streams: 65 rules"), "{error}");
    let flag = Args::try_parse_from(["tern-edge", "--streams", "HEARTBEAT"]).unwrap_err().to_string();
    assert!(flag.contains("--streams") && flag.contains("PATTERN=RATE"), "{flag}");
}

#[test]
fn what_protects_against_loss_can_be_pinned() {
    assert_eq!(load(LEAST, &[]).unwrap().pins, Pins::default());
    let pinned = LEAST.to_owned() + "[protection]\ntick_ms = 120\nwindow = 16\nsymbols_percent = 0\n";
    let config = load(&pinned, &[]).unwrap();
    let pins = Pins { tick: Some(Duration::from_millis(120)), window: Some(16), symbols_percent: Some(0) };
    assert_eq!(config.pins, pins);
    let printed = config.to_toml();
    assert_eq!(load(&printed, &[]).unwrap().to_toml(), printed);
    let wrong =
        |line: &str| load(&(LEAST.to_owned() + "[protection]\n" + line), &[]).unwrap_err().to_string();
    for (line, key, range) in [
        ("tick_ms = 5", "protection.tick_ms", "20 to 500"),
        ("window = 65", "protection.window", "8 to 64"),
        ("symbols_percent = 301", "protection.symbols_percent", "0 to 300"),
        ("ticks = 1", "ticks", "line 6"),
    ] {
        let error = wrong(line);
        assert!(error.contains(key) && error.contains(range), "{error}");
    }
}

#[test]
fn a_token_is_not_printed() {
    let config = load(LEAST, &["--token", "secret-1"]).unwrap();
    assert_eq!(config.token.0, "secret-1");
    assert!(!config.to_toml().contains("secret-1") && !format!("{config:?}").contains("secret-1"));
}

#[test]
fn an_error_in_the_file_does_not_print_the_secret_beside_it() {
    for text in ["token = \"s3cret\n", "token = s3cret\n", "\ntokn = \"s3cret\"\n"] {
        let error = load(text, &[]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret") && shown.contains("line "), "{shown}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let error = |text: &str, flags: &[&str]| load(text, flags).unwrap_err().to_string();
    let unknown = error("vehicle = \"a\"\n[link]\nspeed = 9\n", &[]);
    assert!(
        unknown.contains("edge.toml") && unknown.contains("line 3") && unknown.contains("speed"),
        "{unknown}"
    );
    assert!(error("", &[]).contains("--vehicle"));
    assert!(error("vehicle = \"a\"", &[]).contains("--source"));
    assert!(error(LEAST, &["--ground", "ws://ground.example/vehicle"]).contains("--insecure"));
    assert!(load(LEAST, &["--ground", "ws://ground.example/vehicle", "--insecure"]).is_ok());
    assert!(error(LEAST, &["--rate-bits-per-second", "2399"]).contains("2400 bit/s"));
    assert!(load(LEAST, &["--rate-bits-per-second", "2400"]).is_ok());
    assert!(error(LEAST, &["--budget-bytes-per-second", "199"]).contains("at least 200"));
    let small = error(LEAST, &["--spool-max-bytes", "1048575"]);
    assert!(small.contains("spool.max_bytes = 1048575") && small.contains("at least 1048576"), "{small}");
    assert!(load(LEAST, &["--spool-max-bytes", "1048576"]).is_ok());
    let source = error("vehicle = \"a\"\nsources = [\"mqtt:x\"]", &[]);
    assert!(source.contains("sources") && source.contains("mqtt"), "{source}");
    let missing = Config::load(&Args::parse_from(["tern-edge", "--config", "/nowhere/edge.toml"]));
    assert!(missing.unwrap_err().to_string().contains("/nowhere/edge.toml"));
}

#[test]
fn a_list_of_one_may_be_a_text() {
    let text = LEAST.replace("[\"simulated:\"]", "\"simulated:\"");
    assert_eq!(load(&text, &[]).unwrap().to_toml(), load(LEAST, &[]).unwrap().to_toml());
    let several = load(LEAST, &["--source", "simulated: udpin:0.0.0.0:14550"]).unwrap().to_toml();
    assert_eq!(load(&several, &[]).unwrap().sources.len(), 2);
    let wrong = load("vehicle = \"a\"\nsources = 7\n", &[]).unwrap_err().to_string();
    assert!(wrong.contains("line 2") && wrong.contains("a text or a list of texts"), "{wrong}");
}

#[test]
fn a_level_that_would_log_nothing_is_refused() {
    for level in ["error", "INFO", "off", "tern_edge=debug,info", "[session{id=1}]=trace", "tern_edge=2"] {
        assert_eq!(load(LEAST, &["--log-level", level]).unwrap().log.level, level);
    }
    for wrong in ["loud", "INFOO", "info,tern_edge", "tern_edge=loud", "info, debug"] {
        let error = load(LEAST, &["--log-level", wrong]).unwrap_err().to_string();
        assert!(error.contains(&format!("log.level = {wrong}: expected error, warn")), "{error}");
    }
}

#[test]
fn what_is_hardly_meant_is_named() {
    let doubts = |flags: &[&str], variables: &[&str]| {
        load(LEAST, flags).unwrap().doubts(variables.iter().map(Into::into))
    };
    let known =
        ["TERN_EDGE_RATE_BITS_PER_SECOND", "TERN_EDGE_SPOOL", "TERN_EDGE_LOG_LEVEL", "PATH", "TERN_GROUND_X"];
    assert!(doubts(&[], &known).is_empty());
    let [unknown] = &doubts(&[], &["TERN_EDGE_RATE", "TERN_EDGE_TOKEN"])[..] else { panic!("not one") };
    assert!(unknown.contains("TERN_EDGE_RATE ") && unknown.contains("--help"), "{unknown}");

    let auto = ["--rate-bits-per-second", "auto", "--ground", "wss://ground.example/vehicle"];
    let [fixed] = &doubts(&auto, &[])[..] else { panic!("not one") };
    assert!(fixed.contains("link.rate_bits_per_second = auto") && fixed.contains("quic://"), "{fixed}");
    assert!(doubts(&[&auto[..], &["--ground", "quic://ground.example"]].concat(), &[]).is_empty());
    assert!(doubts(&auto[2..], &[]).is_empty());
}
