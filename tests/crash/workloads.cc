#include "tests/crash/workloads.h"

namespace kmsfs::crash {

namespace {

std::string text_of(std::size_t size, char start) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>('!' + (static_cast<std::size_t>(start) * 7 + i * 11 + i / 89) % 90);
  return text;
}

void created_files_are_there_whole_or_not_at_all(History& h) {
  for (const std::string name : {"/a", "/b", "/c"}) {
    h.create(name);
    h.write(name, 0, text_of(5000, name[1]));
    if (name != "/b") h.sync(name);
    h.close(name);
  }
  h.sync_directory("/");
  h.create("/d");
  h.close("/d");
}

void overwritten_blocks_are_old_or_new(History& h) {
  h.create("/f");
  h.write("/f", 0, text_of(30000, 'a'));
  h.sync("/f");
  for (int i = 0; i < 6; ++i)
    h.write("/f", static_cast<std::size_t>(i) * 4500 + 7,
            text_of(static_cast<std::size_t>(i) * 900 + 1, 'b'));
  h.sync("/f");
  h.write("/f", 2000, text_of(20000, 'c'));
  h.close("/f");
}

void an_appended_log_keeps_every_record_that_was_synced(History& h) {
  h.create("/log");
  for (int i = 0; i < 12; ++i) {
    h.append("/log", text_of(static_cast<std::size_t>(700 + i * 137), static_cast<char>('a' + i)));
    if (i % 3 != 2) h.sync("/log");
  }
  h.close("/log");
  h.open("/log");
  h.append("/log", text_of(9000, 'z'));
  h.sync("/log");
  h.append("/log", text_of(1, 'y'));
  h.close("/log");
}

void truncated_up_and_down_across_block_edges_nothing_old_returns(History& h) {
  h.create("/f");
  h.write("/f", 0, text_of(20000, 'a'));
  h.sync("/f");
  for (const std::size_t size : {3032U, 3031U, 3033U, 7088U, 7087U, 7089U, 19000U, 1U, 12000U, 0U, 5000U}) {
    h.truncate("/f", size);
    if (size % 2 == 0) h.sync("/f");
  }
  h.write("/f", 4900, text_of(200, 'b'));
  h.sync("/f");
  h.close("/f");
}

void a_file_opened_with_truncation_is_old_or_empty_or_new(History& h) {
  h.create("/f");
  h.write("/f", 0, text_of(15000, 'a'));
  h.sync("/f");
  h.close("/f");
  h.open("/f");
  h.truncate("/f", 0);
  h.write("/f", 0, text_of(9000, 'b'));
  h.close("/f");
  h.open("/f");
  h.truncate("/f", 0);
  h.write("/f", 0, text_of(4000, 'c'));
  h.sync("/f");
  h.close("/f");
}

void renamed_over_the_new_content_is_whole_or_the_old_is(History& h) {
  h.create("/f");
  h.write("/f", 0, text_of(8000, 'a'));
  h.sync("/f");
  h.close("/f");
  h.sync_directory("/");
  for (int i = 0; i < 3; ++i) {
    h.create("/f.new");
    h.write("/f.new", 0, text_of(6000 + static_cast<std::size_t>(i) * 1000, static_cast<char>('b' + i)));
    h.sync("/f.new");
    h.close("/f.new");
    h.rename("/f.new", "/f");
    if (i == 1) h.sync_directory("/");
  }
}

void no_directory_is_ever_lost(History& h) {
  h.make_directory("/a");
  h.make_directory("/a/b");
  h.create("/a/b/f");
  h.write("/a/b/f", 0, text_of(100, 'x'));
  h.sync("/a/b/f");
  h.close("/a/b/f");
  h.make_directory("/c");
  h.rename("/a/b", "/c/moved");
  h.sync_directory("/c");
  h.remove_directory("/a");
  h.unlink("/c/moved/f");
  h.remove_directory("/c/moved");
  h.make_directory("/a");
  h.sync_directory("/");
}

void long_names_never_lose_their_other_half(History& h) {
  const std::string one = "/" + std::string(255, 'l'), two = "/" + std::string(230, 'm'),
                    deep = "/" + std::string(200, 'd');
  h.create(one);
  h.write(one, 0, text_of(50, 'x'));
  h.sync(one);
  h.close(one);
  h.rename(one, two);
  h.sync_directory("/");
  h.make_directory(deep);
  h.rename(two, deep + two);
  h.create(one);
  h.close(one);
  h.rename(deep + two, one);
  h.unlink(one);
  h.remove_directory(deep);
}

void what_was_synced_is_reached_through_directories_that_have_their_ids(History& h) {
  h.create("/old");
  h.write("/old", 0, text_of(5000, 'o'));
  h.sync("/old");
  h.close("/old");
  h.make_directory("/a");
  h.make_directory("/a/b");
  h.create("/a/b/f");
  h.write("/a/b/f", 0, text_of(100, 'x'));
  h.sync("/a/b/f");
  h.close("/a/b/f");
  const std::string long_name = "/" + std::string(220, 'n');
  h.make_directory("/new");
  h.make_directory("/new/deep");
  h.rename("/old", "/new/deep/kept");
  h.create("/other");
  h.sync("/other");
  h.close("/other");
  h.rename("/new/deep/kept", "/new/deep" + long_name);
  h.rename("/new/deep" + long_name, "/kept");
  h.make_directory(long_name);
  h.make_directory(long_name + "/empty");
  h.create(long_name + "/empty" + long_name);
  h.sync(long_name + "/empty" + long_name);
  h.close(long_name + "/empty" + long_name);
  h.make_directory("/target");
  h.make_directory("/target-2");
  h.sync_directory("/target");
  h.rename("/a/b", "/target");
  h.rename(long_name, "/target-2");
  h.sync_directory("/target-2");
  h.remove_directory("/a");
  h.sync_directory("/");
}

void a_hole_of_two_mebibytes_is_a_hole_and_nothing_else(History& h) {
  h.create("/sparse");
  h.write("/sparse", 0, text_of(5000, 'a'));
  h.sync("/sparse");
  h.write("/sparse", 2 << 20, text_of(5000, 'b'));
  h.sync("/sparse");
  h.truncate("/sparse", 4 << 20);
  h.write("/sparse", 3 << 20, text_of(100, 'c'));
  h.close("/sparse");
}

void a_databases_way_of_writing_keeps_what_it_committed(History& h) {
  // as sqlite3 with a rollback journal: journal, sync, database, sync, journal away
  h.create("/db");
  h.write("/db", 0, text_of(16384, 'a'));
  h.sync("/db");
  for (int i = 0; i < 4; ++i) {
    h.create("/db-journal");
    h.write("/db-journal", 0, text_of(512, 'j'));
    h.append("/db-journal", text_of(4096 + 8, static_cast<char>('k' + i)));
    h.sync("/db-journal");
    h.write("/db", 4096 * static_cast<std::size_t>(i), text_of(4096, static_cast<char>('b' + i)));
    h.append("/db", text_of(4096, static_cast<char>('p' + i)));
    h.sync("/db");
    h.close("/db-journal");
    h.unlink("/db-journal");
    h.sync_directory("/");
  }
  h.close("/db");
}

}  // namespace

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all = {
      {"CreatedFilesAreThereWholeOrNotAtAll", created_files_are_there_whole_or_not_at_all},
      {"OverwrittenBlocksAreOldOrNew", overwritten_blocks_are_old_or_new},
      {"AnAppendedLogKeepsEveryRecordThatWasSynced", an_appended_log_keeps_every_record_that_was_synced},
      {"TruncatedUpAndDownAcrossBlockEdgesNothingOldReturns",
       truncated_up_and_down_across_block_edges_nothing_old_returns},
      {"AFileOpenedWithTruncationIsOldOrEmptyOrNew", a_file_opened_with_truncation_is_old_or_empty_or_new},
      {"RenamedOverTheNewContentIsWholeOrTheOldIs", renamed_over_the_new_content_is_whole_or_the_old_is},
      {"NoDirectoryIsEverLost", no_directory_is_ever_lost},
      {"LongNamesNeverLoseTheirOtherHalf", long_names_never_lose_their_other_half},
      {"WhatWasSyncedIsReachedThroughDirectoriesThatHaveTheirIds",
       what_was_synced_is_reached_through_directories_that_have_their_ids},
      {"AHoleOfTwoMebibytesIsAHoleAndNothingElse", a_hole_of_two_mebibytes_is_a_hole_and_nothing_else},
      {"ADatabasesWayOfWritingKeepsWhatItCommitted", a_databases_way_of_writing_keeps_what_it_committed},
  };
  return all;
}

std::vector<Workload> workloads_of_names() {
  std::vector<Workload> chosen;
  for (const Workload& workload : workloads()) {
    for (const char* about : {"Director", "LongNames", "Renamed"}) {
      if (workload.promise.find(about) != std::string::npos) {
        chosen.push_back(workload);
        break;
      }
    }
  }
  return chosen;
}

}  // namespace kmsfs::crash
