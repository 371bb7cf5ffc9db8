// Draws the OpenAPI document of this server with Swagger UI. No validator of another host is asked.
SwaggerUIBundle({
  url: document.getElementById('docs').dataset.openapi,
  dom_id: '#docs',
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
