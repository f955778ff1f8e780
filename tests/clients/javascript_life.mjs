// The SDK for JavaScript: the life of a key.
import assert from 'node:assert/strict';
import { KMS } from '@aws-sdk/client-kms';

const kms = new KMS({ endpoint: process.env.KMSD_URL });
const refused = (name, call) => assert.rejects(call, (error) => error.name === name);

const { KeyMetadata: key } = await kms.createKey({ Description: 'javascript' });
assert.match(key.CurrentKeyMaterialId, /^[0-9a-f]{64}$/);
await kms.createAlias({ AliasName: 'alias/javascript', TargetKeyId: key.KeyId });
const EncryptionContext = { purpose: 'test' };
const dataKey = await kms.generateDataKey({ KeyId: 'alias/javascript', KeySpec: 'AES_256', EncryptionContext });
assert.equal(dataKey.Plaintext.length, 32);
assert.equal(dataKey.KeyMaterialId, key.CurrentKeyMaterialId);
const open = (CiphertextBlob) => kms.decrypt({ CiphertextBlob, EncryptionContext });
assert.deepEqual((await open(dataKey.CiphertextBlob)).Plaintext, dataKey.Plaintext);
await refused('InvalidCiphertextException', () => kms.decrypt({ CiphertextBlob: dataKey.CiphertextBlob }));
await refused('DryRunOperationException', () => kms.encrypt({ KeyId: key.KeyId, Plaintext: new Uint8Array(1), DryRun: true }));

// Rotation gives the key new material, and what was sealed under the old one still opens.
await kms.rotateKeyOnDemand({ KeyId: key.KeyId });
const rotated = (await kms.describeKey({ KeyId: key.KeyId })).KeyMetadata;
assert.notEqual(rotated.CurrentKeyMaterialId, key.CurrentKeyMaterialId);
assert.equal((await kms.listKeyRotations({ KeyId: key.KeyId })).Rotations.length, 1);
assert.equal((await open(dataKey.CiphertextBlob)).KeyMaterialId, key.CurrentKeyMaterialId);

// A hundred at once, over kept connections.
const many = await Promise.all(Array.from({ length: 100 }, () => open(dataKey.CiphertextBlob)));
assert.ok(many.every((answer) => Buffer.from(answer.Plaintext).equals(Buffer.from(dataKey.Plaintext))));

await kms.disableKey({ KeyId: key.KeyId });
await refused('DisabledException', () => open(dataKey.CiphertextBlob));
await kms.scheduleKeyDeletion({ KeyId: key.KeyId, PendingWindowInDays: 7 });
await refused('KMSInvalidStateException', () => open(dataKey.CiphertextBlob));
kms.destroy();
process.stdout.write('OK\n');
