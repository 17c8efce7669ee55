//! One configuration for every kind of world, by name.

use serde::{Deserialize, Serialize};

use super::VecEnv;
use super::chain::{Chain, ChainConfig};
use super::deep_sea::{DeepSea, DeepSeaConfig};
use super::goals::Goal;
use super::gridworld::{Gridworld, GridworldConfig};
use super::lever::{Lever, LeverConfig};
use super::matrix_game::{MatrixGame, MatrixGameConfig};
use super::mpe::{
    SimpleAdversary, SimpleAdversaryConfig, SimpleReference, SimpleReferenceConfig, SimpleSpeakerListener,
    SimpleSpeakerListenerConfig, SimpleSpread, SimpleSpreadConfig, SimpleTag, SimpleTagConfig,
};
use super::pathfinding::{Pathfinding, PathfindingConfig};
use super::repeat_previous::{RepeatPrevious, RepeatPreviousConfig};
use super::switch::{Switch, SwitchConfig};
use super::taxi::{Taxi, TaxiConfig};
use super::traffic_junction::{TrafficJunction, TrafficJunctionConfig};
use crate::error::{Error, Result, nearest};

macro_rules! worlds {
    ($($(#[doc = $doc:literal])* $variant:ident($config:ty) = $name:literal, $summary:literal => $env:ty;)*) => {
        /// The settings of a world of any kind, told apart by `kind`.
        ///
        /// ```
        /// use synod::env::{Buffers, WorldConfig};
        /// let mut env = WorldConfig::named("lever")?.build(1)?;
        /// let mut out = Buffers::new(env.spec());
        /// env.reset(&vec![true; env.spec().worlds], &mut out)?;
        /// # Ok::<(), synod::Error>(())
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum WorldConfig {
            /// Agents with targets on a grid.
            Pathfinding(PathfindingConfig),
            $($(#[doc = $doc])* $variant($config),)*
        }

        impl WorldConfig {
            /// Every kind of world: its name and a line about it.
            pub const KINDS: &'static [(&'static str, &'static str)] = &[
                ("pathfinding", "agents with targets on a grid: bottlenecks, mazes, random maps, warehouses"),
                $(($name, $summary),)*
            ];

            /// The kind's default settings.
            ///
            /// # Errors
            /// [`Error::Config`] with the nearest name where there is no such kind.
            pub fn named(name: &str) -> Result<Self> {
                match name {
                    "pathfinding" => Ok(Self::Pathfinding(PathfindingConfig::default())),
                    $($name => Ok(Self::$variant(<$config>::default())),)*
                    _ => Err(unknown(name)),
                }
            }

            /// The kind's name.
            pub fn name(&self) -> &'static str {
                match self {
                    Self::Pathfinding(_) => "pathfinding",
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// Worlds stepped at once.
            pub fn worlds(&self) -> usize {
                match self {
                    Self::Pathfinding(config) => config.worlds,
                    $(Self::$variant(config) => config.worlds,)*
                }
            }

            /// The same world, as many times.
            #[must_use]
            pub fn with_worlds(mut self, worlds: usize) -> Self {
                match &mut self {
                    Self::Pathfinding(config) => config.worlds = worlds,
                    $(Self::$variant(config) => config.worlds = worlds,)*
                }
                self
            }

            /// The worlds, all random numbers from `seed` (it takes the place of pathfinding's own).
            ///
            /// # Errors
            /// [`Error::Config`] for a setting out of range; for pathfinding also those of its maps.
            pub fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
                Ok(match self {
                    Self::Pathfinding(config) => {
                        Box::new(Pathfinding::new(PathfindingConfig { seed, ..config.clone() })?)
                    }
                    $(Self::$variant(config) => Box::new(<$env>::new(config.clone(), seed)?),)*
                })
            }
        }
    };
}

worlds! {
    /// Two agents, one payoff: climbing, penalty, the two-step game.
    MatrixGame(MatrixGameConfig) = "matrix_game", "climbing, penalty, QMIX's two-step game" => MatrixGame;
    /// Repeat the symbol of some steps ago.
    RepeatPrevious(RepeatPreviousConfig) = "repeat_previous", "repeat the symbol of some steps ago" => RepeatPrevious;
    /// Pull different levers.
    Lever(LeverConfig) = "lever", "CommNet's lever game" => Lever;
    /// Say when all have been in the room.
    Switch(SwitchConfig) = "switch", "the switch riddle" => Switch;
    /// A treasure that only a long run of right moves finds.
    DeepSea(DeepSeaConfig) = "deep_sea", "a treasure that only a long run of right moves finds" => DeepSea;
    /// A row of states whose end pays for where one has been.
    Chain(ChainConfig) = "chain", "a row of states whose end pays for where one has been" => Chain;
    /// Fetch a passenger, bring it where it wants to go.
    Taxi(TaxiConfig) = "taxi", "fetch a passenger, bring it where it wants to go" => Taxi;
    /// Cover all landmarks without a clash.
    SimpleSpread(SimpleSpreadConfig) = "simple_spread", "MPE: cover all landmarks without a clash" => SimpleSpread;
    /// Slow hunters, a fast prey.
    SimpleTag(SimpleTagConfig) = "simple_tag", "MPE: slow hunters, a fast prey, obstacles" => SimpleTag;
    /// Go where the adversary does not think you want to be.
    SimpleAdversary(SimpleAdversaryConfig) = "simple_adversary", "MPE: keep a goal from an adversary" => SimpleAdversary;
    /// One knows where to go, the other moves.
    SimpleSpeakerListener(SimpleSpeakerListenerConfig) = "simple_speaker_listener",
        "MPE: one knows where to go, the other moves" => SimpleSpeakerListener;
    /// Each knows where the other has to go.
    SimpleReference(SimpleReferenceConfig) = "simple_reference", "MPE: each knows where the other has to go" => SimpleReference;
    /// A grid with obstacles, agents and targets.
    Gridworld(GridworldConfig) = "gridworld", "any grid, agents and targets, small views" => Gridworld;
    /// Cars that see next to nothing pass each other at junctions.
    TrafficJunction(TrafficJunctionConfig) = "traffic_junction", "CommNet's and IC3Net's traffic junction" => TrafficJunction;
}

impl WorldConfig {
    /// The same world as it is when its curriculum is over: what trained agents are judged in.
    ///
    /// ```
    /// use synod::env::{WorldConfig, traffic_junction::TrafficJunctionConfig};
    /// let easy = TrafficJunctionConfig::easy();
    /// let config = TrafficJunctionConfig { first_arrival_rate: 0.1, curriculum_end: 9, ..easy.clone() };
    /// assert_eq!(config.rate(0), 0.1);
    /// let world = WorldConfig::TrafficJunction(config).after_curriculum();
    /// assert!(matches!(world, WorldConfig::TrafficJunction(c) if c.rate(0) == easy.arrival_rate));
    /// ```
    #[must_use]
    pub fn after_curriculum(mut self) -> Self {
        if let Self::TrafficJunction(config) = &mut self {
            config.curriculum_end = 0;
        }
        self
    }

    /// The goals that the world names, for agents that learn in levels; empty where it names none.
    pub fn goals(&self) -> Vec<Goal> {
        match self {
            Self::Chain(config) => config.goals(),
            Self::DeepSea(config) => config.goals(),
            Self::Taxi(config) => config.goals(),
            _ => Vec::new(),
        }
    }
}

fn unknown(name: &str) -> Error {
    let near = nearest(name, WorldConfig::KINDS.iter().map(|(name, _)| *name));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Error::config("world.kind", format!("no kind of world is called `{name}`{hint}"))
}
