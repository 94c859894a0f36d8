//! Results on their way out of runs that are cut off and gone on with: handed over, into a result
//! log, into a table.

#[path = "deliveries/handed_over.rs"]
mod handed_over;
#[path = "deliveries/result_log.rs"]
mod result_log;
#[path = "deliveries/sources.rs"]
mod sources;
#[path = "deliveries/upsert.rs"]
mod upsert;
