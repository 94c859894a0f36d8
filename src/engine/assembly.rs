//! Assembly: lanes, intakes, shards and sinks are made and joined.

use super::core::{Core, CoreDuty};
use super::sinks::{OpenSink, SinkPlan};
use super::stream::Pipeline;
use super::{Engine, OpenError};
use crate::aggregate::Aggregate;
use crate::cpu::{Bell, StopSignal, allowed_cpus};
use crate::exchange::{
    FRAME_WORDS_MAX, Inbox, LaneEnd, LaneStart, Router, Routing, WatermarkMerge, lane_words,
};
use crate::frame::Extras;
use crate::limits::{PARTITIONS_MAX, RECORD_BYTES_MAX, SHARDS_MAX};
use crate::metrics::{LaneMeter, LatencyWriter, MeterBoard};
use crate::operator::{Applied, Stage};
use crate::record::{Schema, ShardIndex};
use crate::ring::{LocalRing, ring};
use crate::shard::{Intake, IntakeParts, Shard, ShardParts};
use crate::time::{Clock, SystemClock};
use crate::window::{StoreLimits, WindowStore};
use std::sync::Arc;
