# The SDK for Ruby: the life of a key.
require 'aws-sdk-kms'

kms = Aws::KMS::Client.new(endpoint: ENV.fetch('KMSD_URL'))

def refused(error)
  yield
rescue error
  nil
else
  raise "not refused by #{error}"
end

def check(condition)
  raise "wrong at #{caller(1..1).first}" unless condition
end

key = kms.create_key(description: 'ruby').key_metadata
kms.create_alias(alias_name: 'alias/ruby', target_key_id: key.key_id)
context = { 'purpose' => 'test' }
data_key = kms.generate_data_key(key_id: 'alias/ruby', key_spec: 'AES_256', encryption_context: context)
check(data_key.plaintext.bytesize == 32 && data_key.key_id == key.arn)
opened = kms.decrypt(ciphertext_blob: data_key.ciphertext_blob, encryption_context: context)
check(opened.plaintext == data_key.plaintext)
refused(Aws::KMS::Errors::InvalidCiphertextException) { kms.decrypt(ciphertext_blob: data_key.ciphertext_blob) }
refused(Aws::KMS::Errors::NotFoundException) { kms.describe_key(key_id: 'alias/absent') }
moved = kms.re_encrypt(ciphertext_blob: data_key.ciphertext_blob, source_encryption_context: context, destination_key_id: key.key_id)
check(kms.decrypt(ciphertext_blob: moved.ciphertext_blob).plaintext == data_key.plaintext)
check(kms.list_aliases(key_id: key.key_id).aliases.map(&:alias_name) == ['alias/ruby'])
kms.disable_key(key_id: key.key_id)
refused(Aws::KMS::Errors::DisabledException) { kms.decrypt(ciphertext_blob: moved.ciphertext_blob) }
kms.schedule_key_deletion(key_id: key.key_id, pending_window_in_days: 30)
refused(Aws::KMS::Errors::KMSInvalidStateException) { kms.enable_key(key_id: key.key_id) }
puts 'OK'
