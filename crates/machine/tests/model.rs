//! Random commands against the naive model: every answer must be the model's, byte for byte.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use machine::Applied;
use proptest::prelude::*;
use support::{generate, model::Model, store};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_answer_is_the_models(commands in prop::collection::vec(generate::command(), 1..60)) {
        let mut machine = store::fresh();
        let mut model = Model::new();
        for (place, command) in commands.iter().enumerate() {
            let (index, term) = (place as u64 + 1, 1);
            let expected = model.apply(index, term, command);
            let outcome = machine.apply(Applied { index, term }, command).unwrap();
            let actual = outcome.result.map(|reply| (reply.revision, reply.body.to_bytes().to_vec()));
            prop_assert_eq!(actual, expected, "command {}: {:?}", index, command);
        }
    }
}
