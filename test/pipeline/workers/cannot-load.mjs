throw new Error('no such instruction');
