"""Signal: fixed transforms, nothing learned."""
