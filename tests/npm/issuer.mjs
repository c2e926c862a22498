// A real OIDC issuer on a port of the kernel, told on standard output. Claims and header of a token are what the
// request for it says, so that a test may ask for good and for wrong ones.
//   node issuer.mjs MODULES    ->  {"url": "http://127.0.0.1:PORT"}
import { pathToFileURL } from 'node:url';

const { OAuth2Server } = await import(
  pathToFileURL(`${process.argv[2]}/oauth2-mock-server/dist/index.mjs`).href);
const server = new OAuth2Server();
await server.issuer.keys.generate('RS256', { kid: 'r1' });
await server.issuer.keys.generate('ES256', { kid: 'e1' });
server.service.on('beforeTokenSigning', (token, request) => {
  Object.assign(token.payload, JSON.parse(request.body?.claims ?? '{}'));
  Object.assign(token.header, JSON.parse(request.body?.header ?? '{}'));
});
await server.start(0, '127.0.0.1');
server.issuer.url = `http://127.0.0.1:${server.address().port}`;
console.log(JSON.stringify({ url: server.issuer.url }));
