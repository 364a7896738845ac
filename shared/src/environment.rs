//! Variables of the environment that configure a program.

use std::ffi::{OsStr, OsString};

/// What to warn about of the variables with these names: those that are named like `program`'s (`TERN_EDGE_...` of `tern-edge`)
/// and are none of them, by `is_known`. One that is misspelt is no reason not to start, as service managers make names of this
/// kind, too.
pub fn unknown_variables(
    program: &str,
    variables: impl IntoIterator<Item = OsString>,
    is_known: impl Fn(&OsStr) -> bool,
) -> Vec<String> {
    let prefix = format!("{}_", program.to_uppercase().replace('-', "_"));
    let unknown = variables
        .into_iter()
        .filter(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()) && !is_known(name));
    let warning = |name: OsString| {
        let name = name.display();
        format!("{name} in the environment is ignored: there is no such variable; {program} --help names all")
    };
    unknown.map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_like_those_of_the_program_that_it_does_not_know_are_told() {
        let names = ["TERN_GROUND_LISTEN", "TERN_GROUND_TOKENS", "TERN_EDGE_X", "TERN_GROUND", "PATH"];
        let warnings =
            unknown_variables("tern-ground", names.map(Into::into), |name| name == "TERN_GROUND_LISTEN");
        assert_eq!(
            warnings,
            [
                "TERN_GROUND_TOKENS in the environment is ignored: there is no such variable; tern-ground --help names all"
            ]
        );
    }
}
