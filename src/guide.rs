//! The guide, page by page, as it stands in `docs/`.

/// Where links between pages lead here; in `docs/` they lead to files.
macro_rules! links {
    () => {
        concat!(
            "[agents-kinds]: crate::guide::agents#a-network-for-each-kind\n",
            "[engine]: crate::guide::engine\n",
            "[engine-gpu]: crate::guide::engine#on-a-gpu\n",
            "[evaluate-inspect]: crate::guide::evaluate#inspect\n",
            "[extend]: crate::guide::extend\n",
            "[extend-communication]: crate::guide::extend#a-way-to-communicate\n",
            "[extend-world]: crate::guide::extend#a-world\n",
            "[results-srmt]: crate::guide::results#srmt-on-the-bottleneck-task\n",
            "[train-learners]: crate::guide::train#learners\n",
        )
    };
}

macro_rules! page {
    ($name:ident, $text:expr) => {
        #[doc = links!()]
        #[doc = $text]
        pub mod $name {}
    };
}

page!(install, include_str!("../docs/install.md"));
page!(train, include_str!("../docs/train.md"));
page!(evaluate, include_str!("../docs/evaluate.md"));
page!(embed, include_str!("../docs/embed.md"));
page!(extend, include_str!("../docs/EXTENDING.md"));
page!(worlds, include_str!("../docs/worlds.md"));
page!(agents, include_str!("../docs/agents.md"));
page!(roles, include_str!("../docs/roles.md"));
page!(engine, include_str!("../docs/engine.md"));
page!(results, include_str!("../docs/results.md"));
page!(design, include_str!("../docs/design.md"));
