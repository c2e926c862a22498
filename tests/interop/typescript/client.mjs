// The official TypeScript client, unmodified: load, verify, export. Arguments: folder that holds
// node_modules, ports of REST and gRPC. Called by typescript_client.py, which reads the export.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [folder, port, grpcPort] = process.argv.slice(2);
const { default: weaviate, dataType, vectors, configure, reconfigure, Filters } = createRequire(`${folder}/`)('weaviate-client');
const { ConnectionREST } = createRequire(`${folder}/`)('weaviate-client');

const idOf = (n) => `${(n * 2654435761 % 2 ** 32).toString(16).padStart(8, '0')}-0000-4000-8000-${n.toString().padStart(12, '0')}`;
const range = (first, count) => Array.from({ length: count }, (_, n) => first + n);

const client = await weaviate.connectToLocal({ host: '127.0.0.1', port: Number(port), grpcPort: Number(grpcPort) });
assert.equal(await client.isReady(), true);
assert.equal(await client.isLive(), true);
assert.ok((await client.getMeta()).version >= '1.37');

// ---- objects ----
const films = await client.collections.create({
  name: 'Films',
  properties: [
    { name: 'title', dataType: dataType.TEXT },
    { name: 'n', dataType: dataType.INT },
    { name: 'tags', dataType: dataType.TEXT_ARRAY },
    { name: 'score', dataType: dataType.NUMBER },
    { name: 'seen', dataType: dataType.BOOLEAN },
    { name: 'day', dataType: dataType.DATE },
  ],
  vectorizers: vectors.selfProvided(),
});
const valuesOf = (n) => ({
  title: n === 3 ? '' : `Grüße ${n} 😀`, n, tags: ['a', `${n}`], score: n / 7, seen: n % 2 === 0,
  day: new Date(Date.UTC(2020, 1, 29) + n * 1000),
});
const made = await films.data.insertMany(range(0, 300).map((n) => ({ id: idOf(n), properties: valuesOf(n), vectors: [n, 0.5] })));
assert.deepEqual([made.hasErrors, Object.values(made.uuids)], [false, range(0, 300).map(idOf)]);
assert.equal(await films.data.insert({ id: idOf(300), properties: valuesOf(300), vectors: [300, 0.5] }), idOf(300));
const found = new Map();
for await (const o of films.iterator({ includeVector: true })) {
  found.set(o.uuid, o);
}
assert.equal(found.size, 301);
for (const n of range(0, 301)) {
  assert.deepEqual(found.get(idOf(n)).properties, valuesOf(n));
  assert.deepEqual(found.get(idOf(n)).vectors, { default: [n, 0.5] });
}
assert.equal((await films.aggregate.overAll()).totalCount, 301);
assert.equal(await films.length(), 301);
const few = await films.query.fetchObjects({ filters: Filters.and(films.filter.byProperty('n').lessThan(10), films.filter.byProperty('seen').equal(true)) });
assert.deepEqual(few.objects.map((o) => o.properties.n).sort(), [0, 2, 4, 6, 8]);
await films.data.update({ id: idOf(1), properties: { n: 1001 } });
await films.data.replace({ id: idOf(2), properties: { n: 1002 }, vectors: [9, 9] });
assert.deepEqual((await films.query.fetchObjectById(idOf(1))).properties.n, 1001);
assert.equal(await films.data.exists(idOf(2)), true);
assert.equal(await films.data.deleteById(idOf(0)), true);
assert.equal((await films.data.deleteMany(films.filter.byProperty('n').greaterThan(1000))).successful, 2);
assert.equal((await films.query.fetchObjectById(idOf(0))), null);
const some = await films.data.insertMany([{ properties: { n: 'no number' } }, { id: idOf(301), properties: valuesOf(301), vectors: [1, 1] }]);
assert.deepEqual([some.hasErrors, Object.keys(some.errors)], [true, ['0']]);
await assert.rejects(films.query.nearVector([1, 1]), /Sluice stores, lists and exports/);

// ---- configuration ----
await films.config.addProperty({ name: 'late', dataType: dataType.TEXT });
await films.config.update({ description: 'changed' });
const config = await films.config.get();
assert.deepEqual([config.description, config.properties.map((p) => p.name).sort()], ['changed', ['day', 'late', 'n', 'score', 'seen', 'tags', 'title']]);
await client.collections.create({ name: 'Named', vectorizers: [vectors.selfProvided({ name: 'a' }), configure.multiVectors.selfProvided({ name: 'many' })] });
const named = client.collections.get('Named');
// insertMany of this client sends each row of a multi-vector as a vector of its own, which no server takes.
await named.data.insert({ id: idOf(1), properties: { t: 'x' }, vectors: { a: [1, 2, 3], many: [[1, 2], [3, 4]] } });
assert.deepEqual((await named.data.insertMany([{ id: idOf(2), properties: { t: 'y' }, vectors: { a: [4, 5, 6] } }])).errors, {});
assert.deepEqual((await named.query.fetchObjectById(idOf(1), { includeVector: true })).vectors, { a: [1, 2, 3], many: [[1, 2], [3, 4]] });
await client.collections.create({ name: 'Plain' }); // without a word about vectors: the legacy default
await client.collections.get('Plain').data.insertMany([{ id: idOf(1), properties: { t: 'x' }, vectors: [1, 2] }]);

// ---- tenants ----
const shared = await client.collections.create({ name: 'Shared', multiTenancy: configure.multiTenancy() });
await shared.tenants.create([{ name: 'a' }, { name: 'b' }]);
assert.deepEqual(Object.keys(await shared.tenants.get()).sort(), ['a', 'b']);
for (const [tenant, first] of [['a', 0], ['b', 100]]) {
  const t = shared.withTenant(tenant);
  assert.equal((await t.data.insertMany(range(first, 20).map((n) => ({ id: idOf(n), properties: { n }, vectors: [n] })))).hasErrors, false);
  assert.equal(await t.length(), 20);
}
await shared.tenants.update({ name: 'b', activityStatus: 'INACTIVE' });
assert.equal((await shared.tenants.getByName('b')).activityStatus, 'INACTIVE');
assert.equal(await shared.tenants.getByName('zz'), null);
assert.deepEqual((await client.collections.listAll()).map((c) => c.name).sort(), ['Films', 'Named', 'Plain', 'Shared']);

// ---- exports: this client has no call of its own for them, but its connection does REST ----
const rest = new ConnectionREST({ host: `http://127.0.0.1:${port}` });
const started = await rest.postReturn('/export/filesystem', { id: 'from-typescript', file_format: 'parquet' });
assert.equal(started.status, 'STARTED');
let status = started;
while (!['SUCCESS', 'FAILED', 'CANCELED'].includes(status.status)) {
  status = await rest.get('/export/filesystem/from-typescript');
}
assert.equal(status.status, 'SUCCESS');
assert.deepEqual([...status.classes].sort(), ['Films', 'Named', 'Plain', 'Shared']);
await assert.rejects(rest.postReturn('/export/filesystem', { id: 'from-typescript', file_format: 'parquet' }), /already exists/);
await assert.rejects(rest.delete('/export/filesystem/from-typescript', null, false), /already finished/);
await assert.rejects(rest.get('/export/filesystem/unknown'), /404/);
await client.close();
