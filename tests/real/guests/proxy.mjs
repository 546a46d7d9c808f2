// A component of the proxy world for ComponentizeJS: it answers requests, and asks others.
addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const url = new URL(request.url);
  switch (url.pathname) {
    case '/hello':
      return new Response(`hello from ${request.headers.get('x-name')}`, { headers: { 'x-guest': 'js' } });
    case '/echo':
      return new Response((await request.text()).toUpperCase(), { status: 201 });
    case '/stream':
      return new Response(request.body);
    case '/ask': {
      const asked = await fetch(url.searchParams.get('url'), { method: 'POST', body: 'question', headers: { 'x-asks': 'yes' } });
      return new Response(`${asked.status}: ${await asked.text()}`);
    }
    case '/both': {
      const both = await Promise.all(['/a', '/b'].map((path) => fetch(`http://both.example${path}`).then((one) => one.text())));
      return new Response(both.join('+'));
    }
    case '/spin':
      for (;;);
    default:
      return new Response('nothing here', { status: 404 });
  }
}
