// Who may do what to a key: every operation, by everybody, in every state of the key, asked of the service
// and compared with separation.txt, which people have read.
#include <algorithm>
#include <functional>
#include <map>
#include <sstream>

#include "kms/console_policy.h"
#include "kms/operations.h"
#include "tests/kms/identities/door_fixture.h"

namespace kmsfs::kms::test {

namespace {

struct Actor {
  std::string name;
  Invocation who;
};

// One letter for each answer that the table may hold; anything else fails the test.
char letter_of(const std::string& code) {
  static const std::map<std::string, char> letters = {{"ok", '+'},
                                                      {"AccessDeniedException", '-'},
                                                      {"DisabledException", 'D'},
                                                      {"KMSInvalidStateException", 'S'},
                                                      {"NotFoundException", 'N'}};
  const auto found = letters.find(code);
  return found == letters.end() ? '?' : found->second;
}

const char* name_of(KeyState state) {
  return state == KeyState::kEnabled    ? "Enabled"
         : state == KeyState::kDisabled ? "Disabled"
                                        : "PendingDeletion";
}

template <typename T>
void must(const Result<T>& result) {
  EXPECT_TRUE(result) << text_of(result);
}

}  // namespace

class SeparationTest : public DoorTest {
 protected:
  static constexpr const char* kAlias = "alias/separation";

  void SetUp() override {
    DoorTest::SetUp();
    done("CreateAccount", {{"AccountId", kSecond}});
    root_ = as(std::string("arn:aws:iam::") + kFirst + ":root");
    const Invocation admin = user("admin"), plain = user("user"), grantee = user("grantee");
    const Invocation stranger = user("stranger"), delegate = user("delegate", "kms:*");
    const Invocation bounded = user("bounded", "kms:*");
    done("PutUserPermissionsBoundary",
         {{"AccountId", kFirst},
          {"UserName", "bounded"},
          {"PermissionsBoundary",
           R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",
              "Action":["kms:Decrypt","kms:DescribeKey","kms:DisableKey"]}]})"}});
    const Invocation other = user("other", "", kSecond), other_iam = user("other-iam", "kms:*", kSecond);
    done("CreateRole", {{"AccountId", kFirst},
                        {"RoleName", "app"},
                        {"AssumeRolePolicyDocument", trust_policy(stranger.principal)}});
    make_keys();
    actors_ = {{"root", root_},
               {"admin", admin},
               {"user", plain},
               {"grantee", grantee},
               {"session", session(stranger, "")},
               {"session+policy", session(stranger, identity_policy("Allow", "kms:Decrypt"))},
               {"delegate", delegate},
               {"bounded", bounded},
               {"stranger", stranger},
               {"other", other},
               {"other+IAM", other_iam}};
    for (auto& [state, key] : keys_) {
      give_grant(key);
      encrypt_with(key);
    }
    set_states();
  }

  struct Key {
    std::string arn;
    std::string id;
    std::string grant_id;
    Bytes blob;
  };

  Invocation session(const Invocation& who, const std::string& policy) {
    AssumeRoleRequest request;
    request.role_arn = std::string("arn:aws:iam::") + kFirst + ":role/app";
    request.session_name = "work";
    request.policy = policy;
    auto made = assume_role(engine(), who, request);
    EXPECT_TRUE(made) << text_of(made);
    return as(*made);
  }

  // One key per state, all under the policy that the console writes.
  void make_keys() {
    auto policy = console_policy({kFirst, {"user/admin"}, {"user/user", "role/app"}, {kSecond}});
    ASSERT_TRUE(policy) << text_of(policy);
    policy_ = *policy;
    for (const KeyState state : {KeyState::kEnabled, KeyState::kDisabled, KeyState::kPendingDeletion}) {
      auto made = service_->create_key(root_, {.description = name_of(state), .policy = policy_});
      ASSERT_TRUE(made) << text_of(made);
      keys_[state] = {made->key.arn, made->key.key_id, {}, {}};
    }
  }
  void give_grant(Key& key) {
    auto grant = service_->create_grant(
        root_, {.key_id = key.arn,
                .grantee_principal = std::string("arn:aws:iam::") + kFirst + ":user/grantee",
                .operations = {"Decrypt", "GenerateDataKey", "DescribeKey"},
                .retiring_principal = std::string("arn:aws:iam::") + kFirst + ":user/grantee"});
    ASSERT_TRUE(grant) << text_of(grant);
    key.grant_id = grant->grant_id;
  }
  void encrypt_with(Key& key) {
    auto sealed = service_->encrypt(root_, {.key_id = key.arn, .plaintext = as_bytes("x"), .context = {}});
    ASSERT_TRUE(sealed) << text_of(sealed);
    key.blob = sealed->ciphertext;
  }
  KeyState state_of(const Key& key) {
    auto described = service_->describe_key(root_, {key.arn});
    EXPECT_TRUE(described) << text_of(described);
    return described ? described->key.state : KeyState::kEnabled;
  }
  void set_states() {
    for (auto& [state, key] : keys_) {
      if (state_of(key) == state) continue;
      if (state_of(key) == KeyState::kPendingDeletion) {
        must(service_->cancel_key_deletion(root_, {key.arn}));
      }
      if (state == KeyState::kEnabled) must(service_->enable_key(root_, {key.arn}));
      if (state == KeyState::kDisabled) must(service_->disable_key(root_, {key.arn}));
      if (state == KeyState::kPendingDeletion) {
        must(service_->schedule_key_deletion(root_, {.key_id = key.arn}));
      }
    }
  }

  using Ask = std::function<std::string(const Invocation&, Key&)>;
  std::map<std::string, Ask> operations();
  std::string table();

  Invocation root_;
  std::string policy_;
  std::map<KeyState, Key> keys_;
  std::vector<Actor> actors_;
};

// Each undoes what it did, but for the key's state.
std::map<std::string, SeparationTest::Ask> SeparationTest::operations() {
  Service& kms = *service_;
  std::map<std::string, Ask> all;
  const auto on_key = [&](const char* name, auto method) {
    all[name] = [&kms, method](const Invocation& who, Key& key) {
      return test::code_of((kms.*method)(who, {.key_id = key.arn}));
    };
  };
  on_key("DescribeKey", &Service::describe_key);
  on_key("EnableKey", &Service::enable_key);
  on_key("DisableKey", &Service::disable_key);
  on_key("CancelKeyDeletion", &Service::cancel_key_deletion);
  on_key("ScheduleKeyDeletion", &Service::schedule_key_deletion);
  on_key("DisableKeyRotation", &Service::disable_key_rotation);
  on_key("EnableKeyRotation", &Service::enable_key_rotation);
  on_key("GetKeyRotationStatus", &Service::get_key_rotation_status);
  on_key("RotateKeyOnDemand", &Service::rotate_key_on_demand);
  on_key("ListKeyRotations", &Service::list_key_rotations);
  on_key("GetKeyPolicy", &Service::get_key_policy);
  on_key("ListKeyPolicies", &Service::list_key_policies);
  on_key("ListResourceTags", &Service::list_resource_tags);
  on_key("ListGrants", &Service::list_grants);
  all["CreateKey"] = [&](const Invocation& who, Key&) {
    return test::code_of(kms.create_key(who, {.description = "made", .policy = {}}));
  };
  all["ListKeys"] = [&](const Invocation& who, Key&) { return test::code_of(kms.list_keys(who, {})); };
  all["ListAliases"] = [&](const Invocation& who, Key&) { return test::code_of(kms.list_aliases(who, {})); };
  all["GenerateRandom"] = [&](const Invocation& who, Key&) {
    return test::code_of(kms.generate_random(who, {.number_of_bytes = 8}));
  };
  all["UpdateKeyDescription"] = [&](const Invocation& who, Key& key) {
    return test::code_of(kms.update_key_description(who, {key.arn, "changed"}));
  };
  all["PutKeyPolicy"] = [&](const Invocation& who, Key& key) {
    return test::code_of(kms.put_key_policy(
        who, {.key_id = key.arn, .policy = policy_, .bypass_policy_lockout_safety_check = true}));
  };
  all["TagResource"] = [&](const Invocation& who, Key& key) {
    return test::code_of(kms.tag_resource(who, {key.arn, {{"a", "b"}}}));
  };
  all["UntagResource"] = [&](const Invocation& who, Key& key) {
    return test::code_of(kms.untag_resource(who, {key.arn, {"a"}}));
  };
  // The alias is of the caller's own account; so is the one that UpdateAlias and DeleteAlias find.
  all["CreateAlias"] = [&](const Invocation& who, Key& key) {
    const std::string code = test::code_of(kms.create_alias(who, {kAlias, key.id}));
    if (code == "ok") must(kms.delete_alias(root_, {kAlias}));
    return code;
  };
  const auto with_alias = [&](Key& key, const std::function<std::string()>& act) {
    const KeyState state = state_of(key);
    Key& target = state == KeyState::kPendingDeletion ? keys_[KeyState::kEnabled] : key;
    must(kms.create_alias(root_, {kAlias, target.id}));
    const std::string code = act();
    kms.delete_alias(root_, {kAlias}).ok();
    return code;
  };
  all["UpdateAlias"] = [&, with_alias](const Invocation& who, Key& key) {
    return with_alias(key, [&] { return test::code_of(kms.update_alias(who, {kAlias, key.id})); });
  };
  all["DeleteAlias"] = [&, with_alias](const Invocation& who, Key& key) {
    return with_alias(key, [&] { return test::code_of(kms.delete_alias(who, {kAlias})); });
  };
  all["Encrypt"] = [&](const Invocation& who, Key& key) {
    return test::code_of(kms.encrypt(who, {.key_id = key.arn, .plaintext = as_bytes("x"), .context = {}}));
  };
  all["Decrypt"] = [&](const Invocation& who, Key& key) {
    return test::code_of(kms.decrypt(who, {.key_id = key.arn, .ciphertext = key.blob, .context = {}}));
  };
  all["ReEncrypt"] = [&](const Invocation& who, Key& key) {
    ReEncryptRequest request;
    request.ciphertext = key.blob;
    request.destination_key_id = key.arn;
    return test::code_of(kms.re_encrypt(who, request));
  };
  all["GenerateDataKey"] = [&](const Invocation& who, Key& key) {
    return test::code_of(
        kms.generate_data_key(who, {.key_id = key.arn, .context = {}, .number_of_bytes = 32}));
  };
  all["GenerateDataKeyWithoutPlaintext"] = [&](const Invocation& who, Key& key) {
    return test::code_of(kms.generate_data_key_without_plaintext(
        who, {.key_id = key.arn, .context = {}, .number_of_bytes = 32}));
  };
  all["CreateGrant"] = [&](const Invocation& who, Key& key) {
    auto made = kms.create_grant(
        who, {.key_id = key.arn, .grantee_principal = root_.principal, .operations = {"Decrypt"}});
    if (made) must(kms.revoke_grant(root_, {key.arn, made->grant_id}));
    return test::code_of(made);
  };
  const auto give_again = [&](Key& key, const std::string& code) {
    if (code != "ok") return code;
    if (state_of(key) == KeyState::kPendingDeletion) must(kms.cancel_key_deletion(root_, {key.arn}));
    must(kms.enable_key(root_, {key.arn}));
    give_grant(key);
    return code;
  };
  all["RevokeGrant"] = [&, give_again](const Invocation& who, Key& key) {
    return give_again(key, test::code_of(kms.revoke_grant(who, {key.arn, key.grant_id})));
  };
  all["RetireGrant"] = [&, give_again](const Invocation& who, Key& key) {
    return give_again(key,
                      test::code_of(kms.retire_grant(who, {.key_id = key.arn, .grant_id = key.grant_id})));
  };
  all["ListRetirableGrants"] = [&](const Invocation& who, Key&) {
    return test::code_of(kms.list_retirable_grants(
        who, {.retiring_principal = who.session ? who.session->role_arn() : who.principal}));
  };
  return all;
}

std::string SeparationTest::table() {
  const std::map<std::string, Ask> all = operations();
  std::ostringstream out;
  std::map<char, std::string> unexpected;
  for (auto& [state, key] : keys_) {
    out << "\n[" << name_of(state) << "]\n";
    for (const OperationFacts& facts : all_operations()) {
      const std::string name(facts.name);
      const auto ask = all.find(name);
      if (ask == all.end()) {
        ADD_FAILURE() << "nobody asks " << name;
        continue;
      }
      out << name << std::string(34 - name.size(), ' ');
      for (const Actor& actor : actors_) {
        const std::string code = ask->second(actor.who, key);
        if (letter_of(code) == '?') ADD_FAILURE() << name << " by " << actor.name << ": " << code;
        out << letter_of(code) << ' ';
        set_states();
      }
      out << '\n';
    }
  }
  return out.str();
}

// Comments and empty lines are for people.
static std::vector<std::string> rows(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && line.back() == ' ') line.pop_back();
    if (!line.empty() && line.front() != '#') out.push_back(line);
  }
  return out;
}

TEST_F(SeparationTest, EveryCellIsWhatWasReviewed) {
  const std::string actual = table();
  const auto expected = rows(read_text(SEPARATION_TABLE)), found = rows(actual);
  EXPECT_EQ(expected.size(), found.size());
  for (std::size_t i = 0; i < std::min(expected.size(), found.size()); ++i) EXPECT_EQ(expected[i], found[i]);
  if (HasFailure()) std::cout << actual;
}

}  // namespace kmsfs::kms::test
